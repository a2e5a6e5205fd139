"""How passes end."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

import structlog

from apm_operator.errors import ApiError, NamespaceTerminating, NotFound
from apm_operator.reconcile.apply import OwnerLeaving

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass ended.

    Attributes:
        result: `unchanged`, `changed`, `retry`, `invalid`, `gone`; a label of the metric.
        again: seconds after which another pass is due although nothing happens; None: at the resync.
        failed: the pass is to be tried again with backoff, no sooner than `at_least` seconds from now.
        untold: the status, which says no more than that work goes on, waits until no other agent does.
    """

    result: str
    again: float | None = None
    failed: bool = False
    at_least: float = 0.0
    untold: bool = False


async def guarded(work: Awaitable[Outcome]) -> Outcome:
    """Make a pass; whatever the API server refused decides when the next one is due."""
    try:
        return await work
    except (NotFound, NamespaceTerminating) as error:
        # The object or its namespace is on its way out. Should it not be, the resync finds it again.
        _log.debug("The object is going away", error=str(error))
        return Outcome("gone")
    except OwnerLeaving as error:
        _log.info("Waiting for garbage collection", error=str(error))
        return Outcome("retry", failed=True)
    except ApiError as error:
        _log.warning("A pass failed", error=str(error), status=error.status)
        return Outcome("retry", failed=True, at_least=error.retry_after)
