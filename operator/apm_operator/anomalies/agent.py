from __future__ import annotations

from apm_operator.anomalies.counts import Counts
from apm_operator.anomalies.detector import Detector, Finding
from apm_operator.anomalies.scale import SCALES


class AgentDetector:
    """Watches all series of one agent."""

    __slots__ = ("_detectors",)

    def __init__(self) -> None:
        self._detectors = tuple(Detector(scale) for scale in SCALES)

    def observe(self, time: float, counts: Counts | None) -> None:
        """See Detector.observe; `counts` is None where nothing is known, not even that there were no runs."""
        for detector in self._detectors:
            detector.observe(time, counts)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is not as usual."""
        return tuple(each.finding for each in self._detectors if each.finding is not None)

    @property
    def settled(self) -> bool:
        """Whether enough has been seen of any series to tell of it."""
        return any(each.settled for each in self._detectors)
