"""`reconcile(key)` of an AgentReport: its CronJob and what that needs, and what became of its reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.conditions import Aspect, Verdict, conditions, news
from apm_operator.errors import ApiError, InvalidSpec, NotFound
from apm_operator.reconcile.apply import NameTaken, apply, prune
from apm_operator.reconcile.ending import UNANSWERED_SECONDS, ending, trouble
from apm_operator.reconcile.lost import give_up, leaving
from apm_operator.reconcile.outcome import Outcome, guarded
from apm_operator.reconcile.promise import noted
from apm_operator.reconcile.refusal import refusal

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.events import Events
    from apm_operator.reconcile.records import AgentRecord
    from apm_operator.reconcile.reportplan import ReportPlan, ReportPlans
    from apm_operator.reconcile.telling import Teller


@dataclass(frozen=True, slots=True)
class ReportReconciler:
    """What a pass needs; `clock` gives the present time."""

    kube: Kube
    cache: Cache
    plans: ReportPlans
    teller: Teller
    events: Events
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def reconcile(self, key: Key, failures: int = 0) -> Outcome:
        """Make one report's objects what its spec says, and say in its status how its reports are.

        Args:
            key: the AgentReport.
            failures: how many passes over it have failed in a row.
        """
        entry = self.cache.get(key)
        if entry is None or entry.agent is None:
            self.plans.release(key)
            return Outcome("gone")
        if entry.agent.deleting:
            return Outcome("unchanged")
        return await guarded(self._pass(key, entry, entry.agent, failures))

    async def _pass(self, key: Key, entry: Entry, record: AgentRecord, failures: int) -> Outcome:
        now = self.clock()
        try:
            plan = await self.plans.look(key, entry)
        except InvalidSpec as error:
            told = await self._tell(key, entry, Verdict.stalled(c.SPEC_INVALID, str(error)), {}, now=now)
            return Outcome("invalid" if told else "unchanged")
        promised = noted(plan.schedule, record, now, suspended=plan.suspended)
        try:
            writes = await apply(self.kube, self.cache, key, plan.manifests, record.uid)
            writes += await prune(self.kube, key, entry, plan, record.uid)
        except (NameTaken, ApiError) as error:
            if (refused := refusal(error, failures, key.kind)) is None:
                raise
            await self._tell(key, entry, refused.verdict, promised, now=now)
            return refused.outcome
        writes += await give_up(self.kube, self.events, key, entry, command="report", now=now)
        following = None if plan.suspended else plan.schedule.next(now)
        status = (
            promised | _facts(entry) | ({} if following is None else {"nextScheduleTime": times.written(following)})
        )
        delivered = _delivered(entry)
        fresh = news((delivered,), record.status.get("conditions") or ()) if delivered is not None else []
        aspects = () if delivered is None else (delivered,)
        writes += await self._tell(key, entry, _verdict(plan, entry), status, now=now, aspects=aspects)
        for aspect in fresh:
            await self.events.tell(key, record.uid, aspect.reason, aspect.message)
        return Outcome("changed" if writes else "unchanged", _again(entry, following, now))

    async def _tell(
        self,
        key: Key,
        entry: Entry,
        verdict: Verdict,
        status: Mapping[str, Any],
        *,
        now: datetime,
        aspects: tuple[Aspect, ...] = (),
    ) -> int:
        record = entry.agent
        if record is None:
            raise NotFound("The report was deleted during the pass")
        before = record.status
        told = conditions(
            verdict,
            aspects,
            generation=record.generation,
            now=times.written(now),
            before=before.get("conditions") or (),
        )
        kept = {name: value for name, value in before.items() if name != "nextScheduleTime"}
        return await self.teller.tell(
            key, entry, {**kept, **status, "conditions": told, "observedGeneration": record.generation}
        )


def _again(entry: Entry, following: datetime | None, now: datetime) -> float | None:
    """Seconds until another report is due, or until a pod that is to end is taken for lost."""
    if leaving(entry):
        return UNANSWERED_SECONDS
    return None if following is None else max(1.0, (following - now).total_seconds() + 1.0)


def _verdict(plan: ReportPlan, entry: Entry) -> Verdict:
    if plan.suspended:
        return Verdict("True", c.SUSPENDED, "spec.suspend is true: no report is made on schedule until it is false.")
    if plan.trouble is not None:
        return plan.trouble
    for job in entry.jobs.values():
        found = None if job.result else trouble(job, entry.runs.values())
        if found is not None:
            return Verdict.problem(*found)
    return Verdict("True", c.READY, "Reports are made on schedule.")


def _delivered(entry: Entry) -> Aspect | None:
    """The condition Delivered, by the newest Job that has ended; None where none is there any more: then it stays."""
    ended = sorted((job for job in entry.jobs.values() if job.result), key=lambda job: job.finished)
    if not ended:
        record = entry.agent
        told = record is not None and any(
            each.get("type") == c.DELIVERED for each in record.status.get("conditions") or ()
        )
        return None if told else Aspect(c.DELIVERED, "Unknown", c.NOT_YET, "No report has been made yet.")
    end = ending(ended[-1], [pod for pod in entry.runs.values() if pod.owner == ended[-1].uid])
    if end is None or end.reason == c.REPORT_MISSING:
        message = "The newest report's Job ended well, but its pod was gone before it could be asked."
        return Aspect(c.DELIVERED, "True", c.REPORT_MISSING, message)
    return Aspect(c.DELIVERED, "True" if end.succeeded else "False", end.reason, end.message)


def _facts(entry: Entry) -> dict[str, Any]:
    """The newest Job that ended well; what was told of one stays when it is deleted."""
    good = [(job.finished, name) for name, job in entry.jobs.items() if job.result == "Complete"]
    if not good:
        return {}
    finished, name = max(good)
    return {"lastReport": name, "lastReportTime": finished}
