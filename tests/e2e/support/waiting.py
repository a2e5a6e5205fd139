"""Waiting for a state with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: str, look: Callable[[], T], holds: Callable[[T], object], *, seconds: float, every: float = 0.3) -> T:
    """Look again until what is seen holds, and return it.

    Raises:
        AssertionError: it did not within `seconds`; says what was seen last.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {seen}")
        time.sleep(every)
