"""Progress of long steps on stderr, with the time they took."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster.errors import StartError

_TICK = 15.0


def say(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce `title`, show every 15 s that it still runs, and say at the end how long it took."""
    began = time.monotonic()
    over = threading.Event()

    def tick() -> None:
        while not over.wait(_TICK):
            say(f"    still: {title} ({time.monotonic() - began:.0f} s)")

    say(f"==> {title}")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        say(f"    failed: {title} ({time.monotonic() - began:.1f} s)")
        raise
    finally:
        over.set()
        ticker.join()
    say(f"    done: {title} ({time.monotonic() - began:.1f} s)")


def wait_until(what: str, ready: Callable[[], bool], *, seconds: float, every: float = 0.1) -> None:
    """Poll `ready` until it holds.

    Raises:
        StartError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise StartError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
