"""How far a Job is: on its Leases, where it has some."""

from __future__ import annotations

from apm_operator.backup.lease import Held
from apm_operator.backup.report import Progress, Tell


def on_leases(held: Held, *, run: str, pod: str, also: Tell | None = None) -> Tell:
    """Tells by the Leases (from their next renewal on), and by `also`; raises LeaseLost once they are gone."""

    def tell(phase: str, documents: int, size: int, percent: int | None) -> None:
        held.tell(Progress(run=run, holder=pod, phase=phase, documents=documents, bytes=size, percent=percent))
        if also is not None:
            also(phase, documents, size, percent)

    return tell
