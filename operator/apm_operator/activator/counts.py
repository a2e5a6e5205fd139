"""What the activator counts, as KEDA and Prometheus read it.

Written without Prometheus' library, which alone takes a quarter of the memory that the activator has without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

State = Literal["waiting", "open"]
End = Literal["full", "silent", "gone", "late", "idle"]
FAMILIES: Final = (
    (
        "apm_activator_connections",
        "gauge",
        "state",
        "Connections now that wait for a pod, and that are passed through.",
    ),
    ("apm_activator_woken_total", "counter", "", "Connections that waited for a pod and were then passed through."),
    (
        "apm_activator_ended_total",
        "counter",
        "reason",
        "Connections not seen to their end, by why: too many, no first bytes, the client left, no pod in time, idle.",
    ),
)
"""Name, type, label and meaning of each metric."""
_ASKED_SECONDS = 30.0
"""A client that gives up after seconds, and tries again, still wants the agent awake in between."""


class Counts:
    """The connections of one activator."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = float("-inf")
        self._now: dict[State, int] = {"waiting": 0, "open": 0}
        self._ended: dict[End, int] = {"full": 0, "silent": 0, "gone": 0, "late": 0, "idle": 0}
        self._woken = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A connection waits for a pod."""
        self._now["waiting"] += 1
        try:
            yield
        finally:
            self._now["waiting"] -= 1

    @contextmanager
    def open(self) -> Iterator[None]:
        """A connection is passed through."""
        self._now["open"] += 1
        try:
            yield
        finally:
            self._now["open"] -= 1

    def woken(self) -> None:
        """One that waited has a pod."""
        self._woken += 1

    def ended(self, reason: End) -> None:
        """A connection has not been seen to its end."""
        self._ended[reason] += 1
        if reason in ("gone", "late"):
            self._asked = self._clock()

    def wanted(self) -> int:
        """What KEDA is to know: more than nothing as long as somebody wants the agent awake."""
        now = sum(self._now.values())
        return now or int(self._clock() - self._asked < _ASKED_SECONDS)

    def exposition(self) -> str:
        """All of it in Prometheus' text format."""
        values: dict[str, Mapping[Any, int]] = {
            "apm_activator_connections": self._now,
            "apm_activator_woken_total": {"": self._woken},
            "apm_activator_ended_total": self._ended,
        }
        return "".join(self._family(*family, values[family[0]]) for family in FAMILIES)

    @staticmethod
    def _family(name: str, kind: str, label: str, meaning: str, values: Mapping[Any, int]) -> str:
        lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        lines += [f'{name}{{{label}="{key}"}} {value}' if label else f"{name} {value}" for key, value in values.items()]
        return "\n".join(lines) + "\n"
