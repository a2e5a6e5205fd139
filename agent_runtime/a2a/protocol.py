"""What goes over the wire in version 1.0: the names, and the shapes that are read.

What is written is built as plain data where it is made.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_VISIBLE = r"^[!-~]*$"
VERSION = "1.0"
LEGACY_VERSION = "0.3"
VERSION_HEADER = "a2a-version"
PATH = "/a2a"
CARD_PATH = "/.well-known/agent-card.json"
TIMEOUT_HEADER = "apm-timeout"
"""Seconds that the caller still waits; the run ends by then. Not of the protocol, which knows no deadlines."""


class TaskState(StrEnum):
    """Where a task is."""

    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"
    COMPLETED = "TASK_STATE_COMPLETED"
    FAILED = "TASK_STATE_FAILED"
    CANCELED = "TASK_STATE_CANCELED"
    INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
    REJECTED = "TASK_STATE_REJECTED"
    AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"
    UNSPECIFIED = "TASK_STATE_UNSPECIFIED"
    """Of a task that can't be read."""

    @property
    def active(self) -> bool:
        """Whether the agent is at it."""
        return self in {TaskState.SUBMITTED, TaskState.WORKING}

    @property
    def terminal(self) -> bool:
        """Whether nothing more can happen to the task."""
        return self in {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED}


class Wire(BaseModel):
    """Base of what is read: camelCase, and open for fields of later versions."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True)


class Part(Wire):
    """A piece of content: one of `text`, `raw`, `url` and `data`."""

    text: str | None = None
    raw: str | None = None
    url: str | None = None
    data: Any = None
    media_type: str = ""
    filename: str = ""
    metadata: dict[str, Any] | None = None

    @property
    def has_data(self) -> bool:
        """Whether it is data, which may be null."""
        return "data" in self.model_fields_set


class Message(Wire):
    """One turn of a conversation."""

    message_id: str = Field(min_length=1, max_length=256)
    context_id: str = ""
    task_id: str = ""
    role: str = "ROLE_USER"
    parts: tuple[Part, ...] = Field(min_length=1, max_length=100)


class Authentication(Wire):
    """How the receiver of push notifications knows the sender."""

    scheme: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$", max_length=64)
    credentials: str = Field(default="", pattern=_VISIBLE, max_length=4096)


class PushConfig(Wire):
    """Where a client wants to hear of a task."""

    id: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$", max_length=64)
    task_id: str = ""
    url: str = Field(min_length=1, max_length=2048)
    token: str = Field(default="", pattern=_VISIBLE, max_length=1024)
    authentication: Authentication | None = None
    is_legacy: bool = False
    """Whether it is of a client of version 0.3, which is told of its task in that version's words."""

    def as_json(self) -> dict[str, Any]:
        """As clients get it."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude={"is_legacy"})


class PushRequest(Wire):
    """Parameters of the methods that get, list and delete push notification configs."""

    task_id: str = Field(min_length=1)
    id: str = ""


class SendConfiguration(Wire):
    """How the sender wants to hear of the task."""

    history_length: int | None = Field(default=None, ge=0)
    return_immediately: bool = False
    task_push_notification_config: PushConfig | None = None


class SendRequest(Wire):
    """Parameters of SendMessage and SendStreamingMessage."""

    message: Message
    configuration: SendConfiguration = Field(default_factory=SendConfiguration)


class TaskRequest(Wire):
    """Parameters of GetTask, CancelTask and SubscribeToTask."""

    id: str = Field(min_length=1)
    history_length: int | None = Field(default=None, ge=0)


class ListRequest(Wire):
    """Parameters of ListTasks."""

    context_id: str = ""
    status: TaskState | None = None
    page_size: int = Field(default=50, ge=1, le=100)
    page_token: str = ""
    history_length: int | None = Field(default=None, ge=0)
    status_timestamp_after: AwareDatetime | None = None
    include_artifacts: bool = False


class Nothing(Wire):
    """Parameters of methods that need none."""
