"""When the children of the load's agents were seen."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from apm_operator.kinds import CHILDREN, SECRETS

KINDS = (*dict.fromkeys((*CHILDREN, SECRETS)),)
_NAME = re.compile(rb"(agent-\d{5})[-0-9a-z]*")


def agent_name(number: int) -> str:
    """Name of one of the load's agents; its children's names begin with it."""
    return f"agent-{number:05d}"


@dataclass
class Children:
    """Which children were made or changed in a round, and when.

    Attributes:
        times: by agent, then by kind and name.
        wanted: how many objects of each kind a round touches for one agent.
        last: when the last one was heard of.
    """

    times: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    wanted: Counter[str] = field(default_factory=Counter)
    complete: int = 0
    last: float = 0.0

    def begin(self, wanted: Counter[str]) -> None:
        """A new round begins."""
        self.times.clear()
        self.wanted = wanted
        self.complete = 0

    def see(self, kind: str, event: bytes, now: float) -> None:
        """Take in the metadata of an object; in protobuf its name comes before everything else that holds it."""
        found = _NAME.search(event)
        if found is None:
            return
        self.last = now
        seen = self.times.setdefault(found[1].decode(), {})
        child = (kind, found[0].decode())
        if child not in seen:
            seen[child] = now
            self.complete += len(seen) == self.wanted.total()

    def per_agent(self) -> dict[str, float]:
        """How many objects of each kind an agent had touched, on average."""
        counts = Counter(kind for seen in self.times.values() for kind, _ in seen)
        return {kind: round(number / len(self.times), 3) for kind, number in sorted(counts.items())}
