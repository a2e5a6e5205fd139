"""A thread that works on what it is handed, in order, while the one that hands it over goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_DEPTH = 4


class Stage(Generic[T]):
    """Calls `work` with everything that was put, in a thread of its own.

    What `work` or `end` raises comes back from `put` or `close`, as it was.
    """

    def __init__(self, name: str, work: Callable[[T], object], end: Callable[[], object] | None = None) -> None:
        """`end` is called after the last one, unless something failed before."""
        self._work, self._end = work, end
        self._failed: BaseException | None = None
        self._aborted = False
        self._queue: queue.Queue[tuple[T] | None] = queue.Queue(_DEPTH)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Blocks while a few items wait already."""
        if self._failed is not None:
            raise self._failed
        self._queue.put((item,))

    def close(self) -> None:
        """Everything has been worked on when it returns."""
        self._queue.put(None)
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def abort(self) -> None:
        """Ends the thread after the item that it has; never raises."""
        self._aborted = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._failed is None and not self._aborted:  # else whoever puts must still not be blocked
                self._try(self._work, item[0])
        if self._end is not None and self._failed is None and not self._aborted:
            self._try(self._end)

    def _try(self, function: Callable[..., object], *arguments: T) -> None:
        try:
            function(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the caller is
            self._failed = error
