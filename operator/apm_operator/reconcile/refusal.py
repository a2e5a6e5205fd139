"""What a pass makes of objects that it may not write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apm_operator.errors import ApiError, Forbidden, Invalid, NamespaceTerminating, NotFound
from apm_operator.reconcile import assess
from apm_operator.reconcile.apply import NameTaken, OwnerLeaving
from apm_operator.reconcile.outcome import Outcome

if TYPE_CHECKING:
    from apm_operator.conditions import Verdict

_FAILURES_BEFORE_STATUS = 3
"""What passes by itself within some seconds is not worth a status."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One that is told in the status; `at_least` is for how many seconds the API server is to be left alone."""

    verdict: Verdict
    at_least: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """How the pass ends that has told of it."""
        if self.verdict.work == "Stalled":
            return Outcome("invalid")
        return Outcome("retry", failed=True, at_least=self.at_least)


def refusal(error: NameTaken | ApiError, failures: int, of: str) -> Refusal | None:
    """What is to be told; None where the error may pass by itself, or its object is about to go.

    Args:
        error: what the pass met.
        failures: how many passes have failed in a row before it.
        of: the kind of the pass's object, or another word for it.
    """
    patient = failures < _FAILURES_BEFORE_STATUS
    if isinstance(error, NameTaken):
        if isinstance(error, OwnerLeaving) and patient:
            return None
        return Refusal(assess.name_taken(error.kind, error.name, of))
    if isinstance(error, NotFound | NamespaceTerminating) or (patient and not isinstance(error, Forbidden | Invalid)):
        return None
    return Refusal(assess.refused(error), error.retry_after)
