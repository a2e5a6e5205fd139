"""The sign of life of a pod that executes runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from agent_runtime.errors import UnavailableError
from agent_runtime.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_runtime.state.records import Lease
    from agent_runtime.state.store import Renewer

log = structlog.get_logger()

_IDLE = 60.0
"""Seconds without a lease after which the connection is given up: it wakes the process several times a second."""
_GOODBYE = 1.0
"""Seconds that the thread has to end; one that waits for the server is left behind."""


class Heartbeat:
    """Renews leases from a thread of its own: a node that blocks the event loop loses no run by that.

    `lost` is called in that thread, with leases that someone else holds now. `interval` is in seconds.
    """

    def __init__(self, renewer: Renewer, interval: float, lost: Callable[[list[Lease]], None]) -> None:
        self._renewer = renewer
        self._interval = interval
        self._lost = lost
        self._held: dict[str, Lease] = {}
        self._end = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._beat_forever, name="heartbeat", daemon=True)

    @property
    def healthy(self) -> bool:
        """Whether the thread is alive."""
        return self._thread.is_alive()

    @property
    def tokens(self) -> set[str]:
        """Of the leases that are held here."""
        return set(self._held)

    def start(self) -> None:
        """Begins to beat."""
        self._thread.start()

    def add(self, lease: Lease) -> None:
        """Renews the lease from now on."""
        self._held[lease.token] = lease
        self._begun.set()

    def remove(self, lease: Lease) -> None:
        """Renews the lease no more."""
        self._held.pop(lease.token, None)

    def stop(self) -> None:
        """Ends; what is still held is then taken over by others. May block for a second."""
        self._end.set()
        self._begun.set()
        if self._thread.is_alive():
            self._thread.join(_GOODBYE)

    def _beat_forever(self) -> None:
        loop, idle = Loop("heartbeat", self._interval), _IDLE
        while not self._end.is_set():
            # A copy, since the event loop adds and removes meanwhile; making one is a single step of the interpreter.
            held = list(self._held.values())
            try:
                if held:
                    self._renew(held)
                elif idle >= _IDLE:
                    self._rest()
            except UnavailableError as error:
                log.warning("leases can't be renewed", reason=str(error))
            except Exception as error:  # noqa: BLE001 - told of
                self._end.wait(loop.failed(error))
            idle = 0.0 if held or idle >= _IDLE else idle + self._interval
            self._end.wait(self._interval)
        self._renewer.rest()

    def _rest(self) -> None:
        """Waits for a lease, and has it find a connection when it is to be renewed."""
        self._renewer.rest()
        self._begun.clear()
        if not self._held:
            self._begun.wait()
        if not self._end.is_set():
            self._renewer.wake()

    def _renew(self, held: list[Lease]) -> None:
        renewed = {lease.token for lease in self._renewer.renew(held)}
        if lost := [lease for lease in held if lease.token not in renewed and lease.token in self._held]:
            self._lost(lost)
