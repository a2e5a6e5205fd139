"""What a client may ask of a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

StreamMode = Literal[
    "values", "updates", "messages", "messages-tuple", "custom", "tasks", "checkpoints", "debug", "events"
]


_LONGEST_DELAY = 366 * 86400


class CommandRequest(BaseModel):
    """How to go on with an interrupted thread."""

    model_config = ConfigDict(extra="ignore")

    resume: Any = None
    update: Any = None
    goto: str | list[str] | None = None

    @property
    def targets(self) -> list[str]:
        """The nodes to go to."""
        return [self.goto] if isinstance(self.goto, str) else self.goto or []


class CheckpointRef(BaseModel):
    """A point in a thread's history."""

    model_config = ConfigDict(extra="ignore")

    checkpoint_id: str | None = None
    checkpoint_ns: str = ""
    """Of a graph within the graph; "" is the graph itself."""
    checkpoint_map: dict[str, str] = Field(default_factory=dict)
    """The checkpoints of the graphs around it at that time, by their namespaces."""


class RunConfig(BaseModel):
    """What a client may set of LangGraph's config."""

    model_config = ConfigDict(extra="ignore")

    tags: list[str] | None = None
    configurable: dict[str, Any] | None = None
    recursion_limit: int | None = None


class RunRequest(BaseModel):
    """The body that creates a run. Fields of langgraph-sdk that change nothing here are let through."""

    model_config = ConfigDict(extra="ignore")

    assistant_id: str
    input: Any = None
    command: CommandRequest | None = None
    config: RunConfig = Field(default_factory=RunConfig)
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    checkpoint: CheckpointRef | None = None
    checkpoint_id: str | None = None
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    stream_mode: StreamMode | Annotated[list[StreamMode], Field(min_length=1)] = "values"
    stream_subgraphs: bool = False
    multitask_strategy: Literal["reject", "enqueue", "interrupt", "rollback"] = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] | None = None
    durability: Literal["sync", "async", "exit"] = "sync"
    """When a node's result is kept: by default before the next one begins, so that no kill has a node finish twice."""
    webhook: str | None = Field(default=None, max_length=2048)
    after_seconds: float | None = Field(default=None, ge=0, le=_LONGEST_DELAY)
    stream_resumable: bool = False

    @property
    def at(self) -> str | None:
        """The checkpoint from which the run is to go on; None is the newest."""
        return self.checkpoint_id or (self.checkpoint.checkpoint_id if self.checkpoint else None)

    @property
    def within(self) -> CheckpointRef:
        """Where that checkpoint is."""
        return CheckpointRef() if self.checkpoint_id or self.checkpoint is None else self.checkpoint

    @property
    def modes(self) -> list[str]:
        """The stream modes asked for."""
        return [self.stream_mode] if isinstance(self.stream_mode, str) else list(self.stream_mode)
