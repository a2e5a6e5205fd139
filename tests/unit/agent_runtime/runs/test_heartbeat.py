from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from agent_runtime.runs import heartbeat
from agent_runtime.runs.heartbeat import Heartbeat
from agent_runtime.state.records import Lease

if TYPE_CHECKING:
    from collections.abc import Sequence


class Renewer:
    """Keeps what it was asked to do."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._changed = threading.Condition()

    def _tell(self, what: str) -> None:
        with self._changed:
            if self.told[-1:] != [what]:
                self.told.append(what)
            self._changed.notify_all()

    def wake(self) -> None:
        self._tell("wake")

    def rest(self) -> None:
        self._tell("rest")

    def renew(self, held: Sequence[Lease]) -> list[Lease]:
        self._tell("renew")
        return list(held)

    def wait(self, *told: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.told == list(told), 5), self.told


def test_it_has_a_connection_from_the_first_lease_until_some_time_after_the_last(monkeypatch):
    monkeypatch.setattr(heartbeat, "_IDLE", 0.03)
    renewer, lease = Renewer(), Lease("t", "token")
    beats = Heartbeat(renewer, 0.01, lambda _: None)
    beats.start()
    renewer.wait("rest")
    time.sleep(0.05)
    renewer.wait("rest")
    beats.add(lease)
    renewer.wait("rest", "wake", "renew")
    beats.remove(lease)
    renewer.wait("rest", "wake", "renew", "rest")
    beats.add(lease)
    renewer.wait("rest", "wake", "renew", "rest", "wake", "renew")
    beats.stop()
    assert renewer.told[-1] == "rest"


def test_it_ends_while_it_rests():
    beats = Heartbeat(Renewer(), 60.0, lambda _: None)
    beats.start()
    beats.stop()
    assert not beats.healthy
