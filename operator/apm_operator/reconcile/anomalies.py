"""Watches the numbers of all agents, and tells in a condition of each whether they are as usual."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

import structlog

from apm_operator import conditions as c
from apm_operator import metrics
from apm_operator.anomalies.agent import AgentDetector
from apm_operator.anomalies.counts import SPAN, Counts
from apm_operator.conditions import Aspect
from apm_operator.kinds import AGENTS
from apm_operator.prometheus import Series, SourceError
from apm_operator.queue import Key

if TYPE_CHECKING:
    from apm_operator.reconcile.cache import Cache

_METRICS = {
    "runs": "apm_agent_runs_total",
    "failed": 'apm_agent_runs_total{status=~"error|timeout"}',
    "seconds": "apm_agent_run_duration_seconds_sum",
    "tokens": "apm_agent_model_tokens_total",
}
QUERY = " or ".join(
    f'label_replace(sum by (namespace, agent) (increase({metric}[{SPAN}s])), "what", "{what}", "", "")'
    for what, metric in _METRICS.items()
)
"""All that is asked for, for all agents at once. The scraper gives the labels `namespace` and `agent`."""

HISTORY_SECONDS = 29 * 86_400
"""What a detector remembers, and a day."""
_SAMPLES_AT_ONCE = 16_000
"""History is read in parts, so that the answers of a thousand agents stay within a megabyte; of at most a day."""
_AGENTS_AT_ONCE = 100
"""Agents that are looked at before others have the event loop again."""

OFF = Aspect(c.ANOMALOUS, "Unknown", "", "")
_LEARNING = Aspect(
    c.ANOMALOUS,
    "Unknown",
    c.LEARNING,
    "Too little has been seen to know what is usual: it takes runs in the same hour of two weeks.",
)
_USUAL = Aspect(c.ANOMALOUS, "False", c.AS_USUAL, "Error rate, time and tokens per run, and runs are as usual.")

_log = structlog.stdlib.get_logger(__name__)


class Prometheus(Protocol):
    """Where the numbers come from."""

    async def instant(self, query: str, time: float) -> list[Series]:
        """See prometheus.Prometheus."""

    async def range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """See prometheus.Prometheus."""


class Anomalies:
    """Looks at all agents once per `interval` seconds; what it missed it reads from Prometheus' history.

    So it keeps nothing: a new process learns from the same numbers what the one before it knew.
    """

    def __init__(
        self,
        source: Prometheus,
        cache: Cache,
        wake: Callable[[Key], None],
        *,
        interval: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._cache = cache
        self._wake = wake
        self._interval = interval
        self._clock = clock
        self._detectors: dict[Key, AgentDetector] = {}
        self._aspects: dict[Key, Aspect] = {}
        self._seen = clock() - HISTORY_SECONDS
        self._trouble = ""

    def aspect(self, key: Key) -> Aspect | None:
        """The condition of an agent; None until its numbers have been looked at: what was told before stays."""
        return self._aspects.get(key)

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            begun = self._clock()
            try:
                await self.look()
            except SourceError as error:
                self._tell(str(error))
            except Exception:  # noqa: BLE001  agents are to be served whatever is wrong with this
                _log.exception("Looking for anomalies failed")
            else:
                self._tell("")
            await asyncio.sleep(max(self._interval - (self._clock() - begun), self._interval / 10))

    async def look(self) -> None:
        """Take in what has been counted since the last look, and wake the agents whose condition is another now.

        Raises:
            SourceError: Prometheus can't be asked. What was taken in until then is kept.
        """
        await self._catch_up()
        now = self._clock()
        found = _by_time(await self._source.instant(QUERY, now))
        await self._observe(now, found[-1][1] if found else {})
        self._seen = now
        self._judge()

    def export(self) -> None:
        """Set the metrics."""
        metrics.ANOMALOUS.clear()
        for key, detector in self._detectors.items():
            for finding in detector.findings:
                metrics.ANOMALOUS.labels(key.namespace, key.name, finding.series).set(1)
        for reason in (c.LEARNING, c.AS_USUAL, c.ANOMALY):
            count = sum(aspect.reason == reason for aspect in self._aspects.values())
            metrics.ANOMALY_AGENTS.labels(reason).set(count)

    async def _catch_up(self) -> None:
        """Read what was missed, a quarter of an hour after the other; it is what would have been seen."""
        oldest = self._clock() - HISTORY_SECONDS
        missed = (int(max(self._seen, oldest)) // SPAN + 1) * SPAN
        if self._clock() - self._seen < 2 * SPAN:
            return
        agents = sum(1 for _ in self._known())
        part = SPAN * max(min(_SAMPLES_AT_ONCE // (len(_METRICS) * max(agents, 1)), 86_400 // SPAN), 1)
        while missed < (now := self._clock()):
            end = min(missed + part - SPAN, int(now) // SPAN * SPAN)
            for moment, counts in _by_time(await self._source.range(QUERY, missed, end, SPAN)):
                await self._observe(moment, counts)
            self._seen = end
            missed = end + SPAN

    async def _observe(self, moment: float, counts: dict[tuple[str, str], Counts]) -> None:
        for number, key in enumerate(list(self._known())):
            detector = self._detectors.get(key)
            found = counts.get((key.namespace, key.name))
            if detector is None and found is not None:
                detector = self._detectors[key] = AgentDetector()
            if detector is not None:
                detector.observe(moment, found)
            if number % _AGENTS_AT_ONCE == _AGENTS_AT_ONCE - 1:
                await asyncio.sleep(0)

    def _judge(self) -> None:
        known = set(self._known())
        for gone in set(self._aspects) - known:
            self._detectors.pop(gone, None)
            del self._aspects[gone]
        for key in known:
            aspect = _aspect(self._detectors.get(key))
            if self._aspects.get(key) != aspect:
                self._aspects[key] = aspect
                self._wake(key)

    def _known(self) -> Iterator[Key]:
        for key in self._cache:
            if key.kind == AGENTS.kind and (entry := self._cache.get(key)) is not None and entry.agent is not None:
                yield key

    def _tell(self, trouble: str) -> None:
        metrics.ANOMALY_SOURCE_UP.set(0 if trouble else 1)
        if bool(trouble) != bool(self._trouble):
            if trouble:
                _log.warning("Prometheus can't be asked: no anomaly is found or ends until it can be", error=trouble)
            else:
                _log.info("Prometheus can be asked again")
        self._trouble = trouble


def _aspect(detector: AgentDetector | None) -> Aspect:
    if detector is None or not detector.settled:
        return _LEARNING
    if not detector.findings:
        return _USUAL
    return Aspect(c.ANOMALOUS, "True", c.ANOMALY, "; ".join(finding.text for finding in detector.findings))


def _by_time(found: Iterable[Series]) -> list[tuple[float, dict[tuple[str, str], Counts]]]:
    """What each agent (by namespace and name) did until each time, the oldest first."""
    raw: dict[float, dict[tuple[str, str], dict[str, float]]] = {}
    for series in found:
        agent, what = (
            (series.labels.get("namespace", ""), series.labels.get("agent", "")),
            series.labels.get("what", ""),
        )
        if what not in _METRICS:
            continue
        for moment, value in series.samples:
            if math.isfinite(value):
                raw.setdefault(moment, {}).setdefault(agent, {})[what] = value
    return [
        (moment, {agent: Counts(**values) for agent, values in agents.items()})
        for moment, agents in sorted(raw.items())
    ]
