"""Who may write to a thread: of several processes that believe they do, the one with the newest epoch."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from agent_runtime.errors import FencedError

if TYPE_CHECKING:
    from collections.abc import Iterator

epoch: ContextVar[int | None] = ContextVar("epoch", default=None)
"""The epoch under which this context holds its thread; None outside of runs.

A thread's epoch is raised by whoever takes the thread. A write that carries an older one is refused by the store.
"""


_looked_at: ContextVar[set[str] | None] = ContextVar("looked_at", default=None)


@contextmanager
def holding(taken: int | None, *, new: bool = False) -> Iterator[None]:
    """Writes inside carry this epoch; `new` says that nobody has written to the thread before."""
    before, looked = epoch.set(taken), _looked_at.set(set() if new else None)
    try:
        yield
    finally:
        epoch.reset(before)
        _looked_at.reset(looked)


def untouched(name: str) -> bool:
    """Whether there can't be a document of this name yet, since the thread is new; True once for each name."""
    looked = _looked_at.get()
    if looked is None or name in looked:
        return False
    looked.add(name)
    return True


def condition() -> dict[str, int]:
    """What the filter of a write to a thread's document in `heads` has to hold: the thread is still ours.

    In `heads` a thread has one document (`_id`: the agent's key, `/` and the thread's), with its `epoch`. An update
    with this filter that matches nothing was refused: see `refused`. Outside of runs there is no condition.
    """
    mine = epoch.get()
    return {} if mine is None else {"epoch": mine}


def refused() -> FencedError:
    """What a refused write raises; it ends the execution here, and the newer one goes on."""
    return FencedError("another process has taken the thread over")


def first_epoch() -> int:
    """The first epoch of a thread: the time in milliseconds.

    A thread that was deleted and made again under the same id so repeats no epoch that a process may still hold.
    """
    return time.time_ns() // 1_000_000
