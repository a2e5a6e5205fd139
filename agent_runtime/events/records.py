"""What the log of events keeps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_runtime.state.records import ANONYMOUS, now

if TYPE_CHECKING:
    from datetime import datetime

    from agent_runtime.events.event import Event


@dataclass(frozen=True)
class Entry:
    """An event in the log.

    Attributes:
        owner: who sent it, or whose run emitted it; see `Principal.owner`.
        position: in the order of the log. An event that was accepted before another was sent has the lower one.
    """

    event: Event
    owner: str = ANONYMOUS
    position: int = 0
    accepted_at: datetime = field(default_factory=now)

    @property
    def key(self) -> str:
        """The same for the same event: of one `source` and `id`, and one owner. So nobody takes another's ids."""
        return digest(self.owner, self.event.source, self.event.id)

    @property
    def lane(self) -> str:
        """Events of one lane reach a consumer in order: those of one owner and subject. One without a subject is alone.

        So what fails for one caller holds up nobody else, whatever subjects they name.
        """
        return self.key if self.event.subject is None else digest(self.owner, self.event.subject)


@dataclass(frozen=True)
class Lane:
    """What one consumer gets in order, held by one pod at a time.

    Attributes:
        token: of the pod that holds it; "" while nobody does, until `due`.
        beat: grows as long as the holder lives.
        head: key of the event that was tried `attempts` times.
        owner: of its events; "" until one of them was put off.
    """

    consumer: str
    lane: str
    token: str
    beat: int = 0
    head: str = ""
    attempts: int = 0
    due: datetime | None = None
    owner: str = ""


@dataclass(frozen=True)
class DeadLetter:
    """An event that a consumer did not take, however often it was tried."""

    consumer: str
    entry: Entry
    error: str
    attempts: int
    died_at: datetime = field(default_factory=now)

    @property
    def id(self) -> str:
        """The same if the same event dies again at the same consumer."""
        return f"{self.consumer.replace('/', ':')}:{self.entry.key}"

    @property
    def owner(self) -> str:
        """Of its event."""
        return self.entry.owner

    @property
    def accepted_at(self) -> datetime:
        """When its event was."""
        return self.entry.accepted_at


@dataclass(frozen=True)
class SealedLetter:
    """A dead letter whose event can't be read; `unreadable` says why. It can be discarded, or wait for its key."""

    id: str
    consumer: str
    owner: str
    error: str
    attempts: int
    accepted_at: datetime
    died_at: datetime
    unreadable: str


Letter = DeadLetter | SealedLetter


def digest(*texts: str) -> str:
    """A short name for texts of any length."""
    joined = "\0".join(texts).encode(errors="surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:32]
