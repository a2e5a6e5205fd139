from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry


class Consumer(Protocol):
    """Something that gets events of the log: each that it wants at least once, those of one subject in order."""

    @property
    def name(self) -> str:
        """`kind/name`, of lower-case letters, digits and dashes: what its deliveries are kept under."""

    async def wants(self, event: Event) -> bool:
        """Whether it gets this event; asked once, when the event is accepted."""

    async def deliver(self, entry: Entry) -> None:
        """Hands the event over; another time as well if a pod dies meanwhile, so tell twins apart by `entry.key`.

        Raises:
            UnavailableError: Not now; it is tried again, and this does not count as an attempt.
            TooManyRequestsError: Likewise.
            RefusedError: Never; it becomes a dead letter at once.
            Exception: It is tried again up to the number of attempts.
        """
