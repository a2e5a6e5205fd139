"""A task: a run, and the runs that went on with it after it had asked for something."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.a2a.protocol import TaskState
from agent_runtime.runs.encode import plain
from agent_runtime.runs.spoken import answers, text_of
from agent_runtime.state.records import CANCELLED, OWN_PREFIX, Run, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from langgraph.types import Interrupt

    from agent_runtime.a2a.protocol import Message

MESSAGE = OWN_PREFIX + "message"
"""Name in a run's metadata: the key of the message that began it, see `key_of`."""

_STATES: dict[str, TaskState] = {
    "running": TaskState.WORKING,
    "success": TaskState.COMPLETED,
    "error": TaskState.FAILED,
    "timeout": TaskState.FAILED,
}


@dataclass(frozen=True)
class Task:
    """The runs of a task, the oldest first; what the newest one ended with, where it has ended."""

    runs: tuple[Run, ...]
    values: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The id of the run that a client's message began."""
        return self.runs[0].run_id

    @property
    def context_id(self) -> str:
        """The thread, by the name that its owner knows."""
        return shown(self.runs[0].thread_id)

    @property
    def newest(self) -> Run:
        """The run that says where the task is."""
        return self.runs[-1]

    @property
    def unreadable(self) -> str:
        """Why one of its runs can't be read, if so."""
        return next((run.unreadable for run in self.runs if run.unreadable), "")

    @property
    def interrupts(self) -> list[Interrupt]:
        """What the agent waits for an answer to."""
        return list(self.values.get("__interrupt__") or [])

    @property
    def state(self) -> TaskState:
        """Where the task is."""
        run = self.newest
        if run.status == "pending":
            return TaskState.WORKING if run.attempt else TaskState.SUBMITTED
        if run.status != "interrupted":
            return _STATES[run.status]
        if run.unreadable:
            return TaskState.UNSPECIFIED
        asks = self.interrupts and CANCELLED not in run.metadata
        return TaskState.INPUT_REQUIRED if asks else TaskState.CANCELED

    def has(self, key: str) -> bool:
        """Whether a message with this key is among those that the task got."""
        return any(run.metadata.get(MESSAGE) == key for run in self.runs)

    def status(self) -> dict[str, Any]:
        """The `TaskStatus`."""
        said = list(self._said())
        status: dict[str, Any] = {"state": self.state, "timestamp": timestamp(self.newest.updated_at)}
        if said:
            message = {"messageId": f"{self.newest.run_id}-status", "role": "ROLE_AGENT", "parts": said}
            status["message"] = {**message, "taskId": self.id, "contextId": self.context_id}
        return status

    def as_json(self, history: int | None = None, *, artifacts: bool = True) -> dict[str, Any]:
        """The `Task`; `history` is how many of its newest messages are told."""
        task: dict[str, Any] = {"id": self.id, "contextId": self.context_id, "status": self.status()}
        sent = [self._sent(run) for run in self.runs if not run.unreadable]
        if kept := sent[-history:] if history else sent if history is None else []:
            task["history"] = kept
        if artifacts and (found := self.artifacts()):
            task["artifacts"] = found
        return task

    def artifacts(self) -> list[dict[str, Any]]:
        """What the agent said in this task; the values of its state where it says nothing in words."""
        if self.state is not TaskState.COMPLETED or self.unreadable:
            return []
        spoken = [(identifier, text) for identifier, text in answers(self.values) if text]
        if spoken:
            return [artifact(identifier or f"{self.id}-{at}", text) for at, (identifier, text) in enumerate(spoken)]
        values = plain({name: value for name, value in self.values.items() if name != "__interrupt__"})
        if not values:
            return []
        return [{"artifactId": f"{self.id}-values", "parts": [{"data": values, "mediaType": "application/json"}]}]

    def _said(self) -> Iterator[dict[str, Any]]:
        """The parts of the message that goes with the status."""
        if self.unreadable:
            yield {"text": f"the task can't be read: {self.unreadable}"}
        elif self.state is TaskState.INPUT_REQUIRED:
            for asked in self.interrupts:
                yield {**part(plain(asked.value)), "metadata": {"interrupt": asked.id}}
        elif self.state is TaskState.FAILED and self.newest.error:
            yield {"text": self.newest.error.get("message", "")}

    def _sent(self, run: Run) -> dict[str, Any]:
        """The message that began a run, as far as it is kept."""
        body = run.request["body"]
        if command := body.get("command"):
            given = command["resume"]
            parts = [part(value) for value in (given.values() if isinstance(given, dict) else [given])]
        else:
            parts = list(_given(body.get("input") or {}))
        identifier = str(run.metadata.get(MESSAGE, run.run_id)).partition(":")[2] or run.run_id
        message = {"messageId": identifier, "role": "ROLE_USER", "parts": parts}
        return {**message, "taskId": self.id, "contextId": self.context_id}


def key_of(message: Message) -> str:
    """The same for the same message, and another one for one that only has the same id."""
    content = json.dumps([part.model_dump() for part in message.parts], sort_keys=True)
    return f"{hashlib.sha256(content.encode()).hexdigest()[:16]}:{message.message_id}"


def part(value: Any) -> dict[str, Any]:
    """A `Part` with a value: text as text, anything else as data."""
    return {"text": value} if isinstance(value, str) else {"data": value, "mediaType": "application/json"}


def artifact(identifier: str, text: str) -> dict[str, Any]:
    """An `Artifact` of text."""
    return {"artifactId": identifier, "parts": [{"text": text}]}


def timestamp(moment: datetime) -> str:
    """As ProtoJSON writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _given(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in value.get("messages") or []:
        yield {"text": text_of(message.get("content"))}
    if others := {name: given for name, given in value.items() if name != "messages"}:
        yield {"data": others, "mediaType": "application/json"}
