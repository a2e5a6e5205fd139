"""One Job at a time on a database and on a storage, by Leases of Kubernetes.

No clocks are compared: who waits takes a Lease over that has not changed for `Timing.stale` seconds as it observed
itself, and who holds one ends its work well before, if it could not renew it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from apm_operator.backup.errors import LeaseBusy, LeaseLost
from apm_operator.backup.lease_api import Api, Conflict, NotThere, Unanswered
from apm_operator.backup.report import Progress

PROGRESS = "apm.valeo-neuroerp.com/progress"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    Attributes:
        stale: without a change, after which a Lease may be taken from its holder.
        renew: between renewals.
        lost: since the last renewal was asked for, after which the work ends; what is left until `stale` is for that.
        poll: between looks at a Lease that somebody else holds.
    """

    stale: float = 30.0
    renew: float = 5.0
    lost: float = 20.0
    poll: float = 2.0


@dataclass
class Held:
    """The Leases that this Job has."""

    api: Api
    holder: str
    timing: Timing
    names: list[str] = field(default_factory=list)
    progress: Progress | None = None
    gone: bool = False
    _renewed: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise LeaseLost where they may be somebody else's."""
        if self.names and (self.gone or time.monotonic() - self._renewed > self.timing.lost):
            self.gone = True
            raise LeaseLost(
                "a Lease could not be renewed in time: another Job may be at work by now, so this one ended"
            )

    def tell(self, progress: Progress) -> None:
        """What the Leases say from their next renewal on; raises LeaseLost like `check`."""
        self.progress = progress
        self.check()

    def renew(self) -> None:
        """Renew all; raises LeaseLost where one is another's."""
        asked = time.monotonic()
        with suppress(Unanswered):
            for name in self.names:
                self._renew(name)
            self._renewed = asked
        self.check()

    def give_back(self) -> None:
        """Let others take them without a wait; never raises."""
        for name in self.names:
            with suppress(Exception):
                lease = self.api.get(name)
                if lease["spec"].get("holderIdentity") == self.holder:
                    lease["spec"]["holderIdentity"] = ""
                    self.api.put(name, lease)

    def _renew(self, name: str) -> None:
        """A conflict is somebody's change of something else, or a take-over: reading tells."""
        while True:
            try:
                lease = self.api.get(name)
                if lease.get("spec", {}).get("holderIdentity") != self.holder:
                    self.gone = True
                    return
                self.api.put(name, _renewed(lease, self.holder, self.progress, self.timing))
            except Conflict:
                continue
            except NotThere:
                self.gone = True
            return


@contextmanager
def hold(names: Sequence[str], api: Api, holder: str, *, wait: float, timing: Timing | None = None) -> Iterator[Held]:
    """Have all the Leases during the block; in the main thread a lost one ends it by LeaseLost wherever it is.

    Raises:
        LeaseBusy: others have held one for `wait` seconds.
        LeaseLost: it was taken over, or could not be renewed.
        ConfigError: the Job may not have them.
    """
    held = Held(api, holder, timing or Timing())
    over = threading.Event()
    with _ended_by_signal() as lost:
        threads = [
            threading.Thread(target=_keep, args=(held, over), name="lease", daemon=True),
            threading.Thread(target=_watch, args=(held, over, lost), name="lease watch", daemon=True),
        ]
        for each in threads:
            each.start()
        try:
            deadline = time.monotonic() + wait
            for name in sorted(set(names)):
                _take(held, name, deadline)
            yield held
            held.check()
        finally:
            over.set()
            for each in threads:
                each.join()
            held.give_back()


def _keep(held: Held, over: threading.Event) -> None:
    while not over.wait(held.timing.renew):
        try:
            held.renew()
        except Exception:  # noqa: BLE001 - whatever it is, the Leases are not renewed
            held.gone = True


def _watch(held: Held, over: threading.Event, lost: Callable[[], None]) -> None:
    """Apart from renewals: one of them may hang for longer than the Leases last."""
    while not over.wait(held.timing.renew / 10):
        try:
            held.check()
        except LeaseLost:
            lost()
            return


def _take(held: Held, name: str, deadline: float) -> None:
    """Wait until the Lease is nobody's, or its holder has not been heard of for long enough."""
    seen: tuple[Any, ...] | None = None
    since, by = time.monotonic(), "there is no such Lease yet: the operator makes it"
    while True:
        held.check()
        with suppress(Conflict, Unanswered, NotThere):
            asked = time.monotonic()
            lease = held.api.get(name)
            spec = lease.get("spec", {})
            now = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
            if now != seen:
                seen, since = now, time.monotonic()
            by = f"{now[0]} holds it"
            stale = max(held.timing.stale, float(spec.get("leaseDurationSeconds") or 0))
            if not now[0] or now[0] == held.holder or asked - since >= stale:
                held.api.put(name, _renewed(lease, held.holder, held.progress, held.timing))
                _took(held, name, asked)
                return
        if time.monotonic() > deadline:
            raise LeaseBusy(f"Lease {name} could not be had in time ({by})")
        time.sleep(held.timing.poll)


def _took(held: Held, name: str, asked: float) -> None:
    if not held.names:
        held._renewed = asked  # noqa: SLF001 - of this module
    held.names = [*held.names, name]


def _renewed(lease: dict[str, Any], holder: str, progress: Progress | None, timing: Timing) -> dict[str, Any]:
    """The Lease as its holder writes it; the times are for people to read."""
    spec = dict(lease.get("spec") or {})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if spec.get("holderIdentity") != holder:
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        spec["acquireTime"] = now
    spec |= {"holderIdentity": holder, "renewTime": now, "leaseDurationSeconds": max(1, round(timing.stale))}
    metadata = dict(lease["metadata"])
    if progress is not None:
        metadata["annotations"] = {**metadata.get("annotations", {}), PROGRESS: progress.to_json()}
    metadata.pop("managedFields", None)
    return {**lease, "metadata": metadata, "spec": spec}


@contextmanager
def _ended_by_signal() -> Iterator[Callable[[], None]]:
    """A function for other threads that makes the main thread raise LeaseLost, even out of a call that blocks."""
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield lambda: None
        return

    def raise_lost(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise LeaseLost("a Lease could not be renewed in time: another Job may be at work by now, so this one ended")

    before = signal.signal(signal.SIGUSR1, raise_lost)
    try:
        yield lambda: signal.pthread_kill(main.ident or 0, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
