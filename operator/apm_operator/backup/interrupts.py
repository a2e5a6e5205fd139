"""What ends a Job from outside, as exceptions of the main thread: the kubelet's SIGTERM, and the deadline."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from apm_operator.backup.errors import Stopped, TimedOut


@contextmanager
def interruptible(seconds: float) -> Iterator[None]:
    """The block ends by Stopped or TimedOut, once; what it does about that is not interrupted again."""
    before = {number: signal.signal(number, _raise) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGALRM:
        raise TimedOut("the Job has taken longer than spec.job.timeout: raise it, or find what is slow")
    raise Stopped("the pod was told to end; the Job tries again where it may")
