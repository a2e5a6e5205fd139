"""Which threads other processes hold, and whether those processes still live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_runtime.state.records import Lease


@dataclass
class LeaseWatch:
    """Tells dead leases from living ones by whether their beat changes.

    Only this process's own clock is used, so the clocks of the pods need not agree. `timeout` is in seconds.
    """

    timeout: float
    _seen: dict[tuple[str, int], float] = field(default_factory=dict)

    def dead(self, leases: Iterable[Lease], clock: float) -> list[Lease]:
        """The leases whose beat has not changed for `timeout` seconds; call it regularly."""
        current = {(lease.token, lease.beat): lease for lease in leases}
        self._seen = {key: self._seen.get(key, clock) for key in current}
        return [lease for key, lease in current.items() if clock - self._seen[key] >= self.timeout]

    def forget(self) -> None:
        """Starts anew: while the leases could not be read, their holders could not renew them either."""
        self._seen.clear()
