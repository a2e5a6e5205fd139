"""What a report says. What could not be had is None, which is never the same as 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from apm_operator.audit.report import Deviation

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Span:
    """What is reported on: from `start` to `end`, cut into slices of `slice_seconds` for the plots.

    Attributes:
        zone: IANA name of the time zone in which times are written.
    """

    start: datetime
    end: datetime
    zone: str
    slice_seconds: int

    @property
    def seconds(self) -> int:
        """Its length."""
        return round((self.end - self.start).total_seconds())


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs that ended, by how."""

    succeeded: float = 0.0
    failed: float = 0.0
    interrupted: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.succeeded + self.failed + self.interrupted

    @property
    def success(self) -> float | None:
        """Part of those that came to an end of their own that succeeded; None where none did."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None

    def __add__(self, other: Runs) -> Runs:
        return Runs(self.succeeded + other.succeeded, self.failed + other.failed, self.interrupted + other.interrupted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What Prometheus has counted of one agent, or of all.

    Attributes:
        median: seconds that half of the runs took at most; None as well where there were none. `slow`: 95 of 100.
        cost: in the currency of the models' `price`.
        budget: the largest part of a day's budget that was used, by resource; none where none is set.
        refusals: runs and calls of models that a budget refused.
        odd: series that were not as usual at some time.
        certificate_left: seconds for which the certificate was still good at the end, and `certificate_life` from
            when it was made.
    """

    runs: Runs | None = None
    median: float | None = None
    slow: float | None = None
    tokens: float | None = None
    cost: float | None = None
    budget: Mapping[str, float] | None = None
    refusals: float | None = None
    odd: tuple[str, ...] = ()
    certificate_left: float | None = None
    certificate_life: float | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the span, for the plots."""

    start: datetime
    runs: Runs | None = None
    slow: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """All that Prometheus was asked for.

    Attributes:
        agents: those that it has scraped, by name.
        trouble: why it could not be asked; "" where it could.
    """

    agents: Mapping[str, Numbers] = field(default_factory=dict)
    slow: float | None = None
    slices: tuple[Slice, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """A condition: what it says now, why, and what to do."""

    truth: Truth = "Unknown"
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent: what it did, and how it is now.

    Attributes:
        certificate: None with TLS off.
        deviations: of the review of access.
        gone: whether it was deleted since; only its numbers are known then.
    """

    name: str
    numbers: Numbers
    ready: State
    anomalous: State = State()
    certificate: State | None = None
    deviations: tuple[Deviation, ...] = ()
    gone: bool = False

    @property
    def title(self) -> str:
        """Its name, with what has to be known beside it."""
        return f"{self.name} (deleted)" if self.gone else self.name

    @property
    def open(self) -> tuple[Deviation, ...]:
        """Deviations that nobody has accepted."""
        return tuple(each for each in self.deviations if not each.accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The backups of one policy.

    Attributes:
        completed: of the span, as far as they are kept; `proven` those of them that are known to restore.
        missed: runs that did not take place since the policy was made.
        last: when the last good backup was finished; `last_proven` when one was last proven to restore.
        size: bytes of the last good one.
    """

    name: str
    ready: State
    verified: State
    completed: int = 0
    failed: int = 0
    proven: int = 0
    missed: int = 0
    last: datetime | None = None
    last_proven: datetime | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore of the span."""

    name: str
    phase: str
    finished: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is told.

    Attributes:
        name: of the AgentReport.
        trouble: why the numbers of runs are not known; "" where they are.
        unseen: what the review of access could not look at.
    """

    namespace: str
    name: str
    span: Span
    agents: tuple[Agent, ...]
    policies: tuple[Policy, ...] = ()
    restores: tuple[Restore, ...] = ()
    slices: tuple[Slice, ...] = ()
    slow: float | None = None
    trouble: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def present(self) -> tuple[Agent, ...]:
        """Agents that are there now."""
        return tuple(agent for agent in self.agents if not agent.gone)

    @property
    def counted(self) -> tuple[Agent, ...]:
        """Agents whose runs are known."""
        return tuple(agent for agent in self.agents if agent.numbers.runs is not None)

    @property
    def runs(self) -> Runs | None:
        """Of all agents whose runs are known; None where that is none of them."""
        known = [agent.numbers.runs for agent in self.agents if agent.numbers.runs is not None]
        return sum(known, Runs()) if known else None

    @property
    def tokens(self) -> float | None:
        """Likewise."""
        return self._sum(lambda numbers: numbers.tokens)

    @property
    def cost(self) -> float | None:
        """Likewise."""
        return self._sum(lambda numbers: numbers.cost)

    def _sum(self, of: Callable[[Numbers], float | None]) -> float | None:
        return total(of(agent.numbers) for agent in self.agents)


def total(values: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
