"""Asks the API server and Prometheus for what a report is made of."""

from __future__ import annotations

import asyncio

import structlog

from apm_operator import kinds
from apm_operator.errors import ApiError
from apm_operator.kinds import Resource
from apm_operator.kube import Kube
from apm_operator.prometheus import Prometheus, SourceError
from apm_operator.report import queries
from apm_operator.report.cluster import Body, Objects
from apm_operator.report.errors import ApiAway
from apm_operator.report.figures import Measured, Span

_PAUSES = (1.0, 4.0, 15.0)
"""Seconds before Prometheus is asked anew: a report is not to lack its numbers for a restart."""

_log = structlog.stdlib.get_logger(__name__)


async def objects(kube: Kube, namespace: str) -> Objects:
    """What is in a namespace.

    Raises:
        ApiAway: it can't be listed.
    """

    async def all_of(resource: Resource) -> tuple[Body, ...]:
        return tuple([item async for page in kube.pages(resource, namespace) for item in page])

    try:
        return Objects(
            agents=await all_of(kinds.AGENTS),
            policies=await all_of(kinds.BACKUP_POLICIES),
            backups=await all_of(kinds.BACKUPS),
            restores=await all_of(kinds.RESTORES),
            network_policies=await all_of(kinds.NETWORK_POLICIES),
            roles=await all_of(kinds.ROLES),
            role_bindings=await all_of(kinds.ROLE_BINDINGS),
        )
    except ApiError as error:
        # 403 too: the operator may still be writing the Job's Role.
        raise ApiAway(f"The API server does not tell what is in the namespace: {error}", again=True) from error


async def numbers(
    prometheus: Prometheus | None, namespace: str, span: Span, pauses: tuple[float, ...] = _PAUSES
) -> Measured:
    """What Prometheus has counted; where it can't be asked, the reason why."""
    if prometheus is None:
        return queries.nothing(span, "spec.prometheus is not set")
    left = iter(pauses)
    while True:
        try:
            return await _ask(prometheus, namespace, span)
        except SourceError as error:
            if (pause := next(left, None)) is None:
                return queries.nothing(span, f"Prometheus can't be asked: {error}")
            _log.warning("Prometheus can't be asked; it is tried again", error=str(error), seconds=pause)
        await asyncio.sleep(pause)


async def _ask(prometheus: Prometheus, namespace: str, span: Span) -> Measured:
    ends = queries.ends(span)
    whole = {
        what: await prometheus.instant(query, span.end.timestamp())
        for what, query in queries.instant(namespace, span).items()
    }
    slices = {
        what: await prometheus.range(query, ends[0], ends[-1], span.slice_seconds)
        for what, query in queries.sliced(namespace, span).items()
    }
    return queries.measured(span, whole, slices)
