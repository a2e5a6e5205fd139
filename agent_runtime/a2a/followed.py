"""A task at another agent, as far as its events have told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_runtime.a2a.protocol import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OVER = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED})
_WAITING = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})


@dataclass(frozen=True)
class Piece:
    """Some text of an artifact that is being streamed."""

    identifier: str
    text: str


@dataclass(frozen=True)
class Question:
    """Something that the other agent wants to know; `id` is "" where it names none."""

    id: str
    value: Any


@dataclass
class Followed:
    """What is known of the task.

    Attributes:
        known: whether its artifacts are all there, as they are at its end.
    """

    id: str = ""
    context: str = ""
    state: str = ""
    said: list[dict[str, Any]] = field(default_factory=list)
    """The parts of the message that goes with its state."""
    artifacts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    known: bool = False
    _open: set[str] = field(default_factory=set)

    @property
    def settled(self) -> bool:
        """Whether the other agent is no longer at it."""
        return self.state in _OVER | _WAITING

    @property
    def questions(self) -> list[Question]:
        """What the other agent asks."""
        return [Question(str(_object(part.get("metadata")).get("interrupt") or ""), _value(part)) for part in self.said]

    @property
    def told(self) -> str:
        """The text that goes with its state."""
        return "\n".join(_texts(self.said))

    def answer(self) -> tuple[str, str | None, Any]:
        """Id, text and data of the last thing that the agent brought; no text where it is data alone."""
        for identifier, parts in reversed(self.artifacts.items()):
            if texts := list(_texts(parts)):
                return identifier, "".join(texts), None
            if data := [part["data"] for part in parts if "data" in part]:
                return identifier, None, data[0]
        return f"{self.id}-status", self.told, None

    def apply(self, event: Mapping[str, Any]) -> Piece | None:
        """Takes in what a stream or an answer brought; a piece of text, if it was one."""
        if "artifactUpdate" in event:
            return self._update(_object(event["artifactUpdate"]))
        if "statusUpdate" in event:
            self._status(_object(_object(event["statusUpdate"]).get("status")))
            self.known = not self._open
        elif "task" in event:
            self.take(_object(event["task"]))
        elif "message" in event:
            self.state = TaskState.COMPLETED
            self.said = _parts(_object(event["message"]))
            self.known = True
        return None

    def take(self, task: Mapping[str, Any]) -> None:
        """Takes in the whole task."""
        self.id, self.context = str(task.get("id") or ""), str(task.get("contextId") or "")
        self._status(_object(task.get("status")))
        if self.settled:
            self.artifacts, self._open = {}, set()
            for one in task.get("artifacts") or ():
                self.artifacts[str(_object(one).get("artifactId"))] = _parts(_object(one))
            self.known = True

    def _status(self, status: Mapping[str, Any]) -> None:
        self.state = str(status.get("state") or "")
        self.said = _parts(_object(status.get("message")))

    def _update(self, update: Mapping[str, Any]) -> Piece | None:
        artifact = _object(update.get("artifact"))
        identifier, parts = str(artifact.get("artifactId") or ""), _parts(artifact)
        kept = self.artifacts.setdefault(identifier, [])
        if not update.get("append"):
            kept.clear()
        kept += parts
        self._open.add(identifier)
        if update.get("lastChunk"):
            self._open.discard(identifier)
        text = "".join(_texts(parts))
        return Piece(identifier, text) if text else None


def _texts(parts: list[dict[str, Any]]) -> Iterator[str]:
    return (part["text"] for part in parts if isinstance(part.get("text"), str))


def _value(part: Mapping[str, Any]) -> Any:
    return part.get("data") if "data" in part else part.get("text")


def _parts(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = value.get("parts")
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
