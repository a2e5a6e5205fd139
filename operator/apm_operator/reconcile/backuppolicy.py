"""`reconcile(key)` of a BackupPolicy: its CronJob and what that needs, the Backups of its runs, the missed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.conditions import Verdict, conditions
from apm_operator.errors import ApiError, Conflict, Invalid, InvalidSpec, NotFound
from apm_operator.kinds import ADOPTED, BACKUPS, CLAIMS, CRON_JOBS, FIELD_MANAGER, JOBS, MANAGED_BY_LABEL, POLICY_LABEL
from apm_operator.manifests.agent import canonical
from apm_operator.queue import Key
from apm_operator.reconcile import leases, policystatus
from apm_operator.reconcile.apply import NameTaken, apply, prune
from apm_operator.reconcile.ending import UNANSWERED_SECONDS
from apm_operator.reconcile.holding import hold
from apm_operator.reconcile.lost import give_up, leaving
from apm_operator.reconcile.outcome import Outcome, guarded
from apm_operator.reconcile.policystatus import Runs, ToldBackup
from apm_operator.reconcile.refusal import refusal
from apm_operator.reconcile.schedule import Review, run_name, slot_of

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.reconcile.backupplan import PolicyPlan, PolicyPlans
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.events import Events
    from apm_operator.reconcile.records import AgentRecord
    from apm_operator.reconcile.removal import Removal
    from apm_operator.reconcile.runs import JobFacts
    from apm_operator.reconcile.telling import Teller

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class PolicyReconciler:
    """What a pass needs.

    Attributes:
        wake: has a pass made over another object.
        clock: the present time.
    """

    kube: Kube
    cache: Cache
    plans: PolicyPlans
    teller: Teller
    events: Events
    removal: Removal
    wake: Callable[[Key], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def reconcile(self, key: Key, failures: int = 0) -> Outcome:
        """Make one policy's objects what its spec says, and say in its status how its backups are.

        Args:
            key: the policy.
            failures: how many passes over it have failed in a row.
        """
        entry = self.cache.get(key)
        if entry is None or entry.agent is None:
            self.plans.release(key)
            return Outcome("gone")
        if entry.agent.deleting:
            return await guarded(self.removal.of_policy(key, entry))
        return await guarded(self._pass(key, entry, failures))

    async def _pass(self, key: Key, entry: Entry, failures: int) -> Outcome:
        now = self.clock()
        try:
            plan = await self.plans.look(key, entry)
        except InvalidSpec as error:
            told = await self._tell(key, entry, Verdict.stalled(c.SPEC_INVALID, str(error)), {}, now=now)
            return Outcome("invalid" if told else "unchanged")
        try:
            writes = await self._apply(key, entry, plan)
        except (NameTaken, ApiError) as error:
            if (refused := refusal(error, failures, key.kind)) is None:
                raise
            await self._tell(key, entry, refused.verdict, {}, now=now)
            return refused.outcome
        writes += await self._adopt(key, entry, plan)
        # A backup's own pass does so for it.
        writes += await give_up(self.kube, self.events, key, entry, command="verify", now=now)
        review, caught = await self._catch_up(key, entry, plan, now)
        runs = self._runs(key, entry)
        writes += caught + await self._forget(key, entry, plan, runs, now)
        status = {**policystatus.facts(_record(entry).status, runs), **_schedule(_record(entry).status, review)}
        writes += await self._tell(key, entry, _verdict(plan), status, now=now, runs=runs)
        self._wake_backups(key, runs)
        again = UNANSWERED_SECONDS if leaving(entry) else _again(plan, review, now)
        return Outcome("changed" if writes else "unchanged", again)

    async def _apply(self, key: Key, entry: Entry, plan: PolicyPlan) -> int:
        uid = _record(entry).uid
        writes = await hold(self.kube, key, entry, wanted=plan.delete)
        writes += await leases.ensure(self.kube, key, uid, plan.leases)
        if plan.claim is not None:
            writes += await self._claim(key, plan.claim)
        writes += await apply(self.kube, self.cache, key, plan.manifests, uid)
        return writes + await prune(self.kube, key, entry, plan, uid)

    async def _claim(self, key: Key, claim: Mapping[str, Any]) -> int:
        """Make the volume's claim where it is not there. It is never changed, and outlives the policy."""
        name = claim["metadata"]["name"]
        try:
            await self.kube.get(CLAIMS, key.namespace, name)
        except NotFound:
            await self.kube.create(CLAIMS, key.namespace, claim)
            return 1
        return 0

    async def _adopt(self, key: Key, entry: Entry, plan: PolicyPlan) -> int:
        """Make the Backups of Jobs that the CronJob has made, also while the operator was away."""
        owner = entry.children.get((CRON_JOBS.kind, plan.cron_job))
        writes = 0
        for name, job in sorted(entry.jobs.items()):
            mine = owner is not None and job.owner == owner.uid and job.command == "backup"
            if not mine or job.adopted or job.deleting:
                continue
            writes += await self._backup(key, name)
            await self._mark(key, name, job)
            writes += 1
        return writes

    async def _mark(self, key: Key, name: str, job: JobFacts) -> None:
        body = {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "metadata": {"name": name, "namespace": key.namespace, "uid": job.uid, "annotations": {ADOPTED: "true"}},
        }
        try:
            answer = await self.kube.apply(JOBS, key.namespace, name, canonical(body))
        except (NotFound, Conflict, Invalid):
            return  # it was deleted meanwhile
        self.cache.observe({**answer, "kind": JOBS.kind}, deleted=False)

    async def _backup(self, key: Key, name: str) -> int:
        """Make a Backup of this policy, unless it is there."""
        if (known := self.cache.get(Key(key.namespace, name, BACKUPS.kind))) is not None and known.agent is not None:
            return 0
        body = {
            "apiVersion": BACKUPS.api_version,
            "kind": BACKUPS.kind,
            "metadata": {
                "name": name,
                "namespace": key.namespace,
                "labels": {MANAGED_BY_LABEL: FIELD_MANAGER, POLICY_LABEL: key.name},
            },
            "spec": {"policyRef": {"name": key.name}},
        }
        try:
            answer = await self.kube.create(BACKUPS, key.namespace, body)
        except Conflict:
            return 0
        for each in self.cache.observe({**answer, "kind": BACKUPS.kind}, deleted=False):
            self.wake(each)
        return 1

    async def _catch_up(self, key: Key, entry: Entry, plan: PolicyPlan, now: datetime) -> tuple[Review | None, int]:
        """Look for missed runs, and make one Backup for all of them."""
        if plan.suspended:
            return None, 0
        record = _record(entry)
        names = (*entry.jobs, *(each.name for each in self.cache.belonging.backups(key)))
        runs = [slot for slot in (slot_of(plan.cron_job, name) for name in names) if slot is not None]
        review = plan.schedule.review(_due(record, plan, now), now, runs, plan.deadline)
        if review.newest_missed is None:
            return review, 0
        name = run_name(plan.cron_job, review.newest_missed)
        made = await self._backup(key, name)
        slots = f"{review.missed} scheduled runs" if review.missed > 1 else "A scheduled run"
        last = times.written(review.newest_missed)
        message = f"{slots} did not take place, the last at {last}: {name} makes up for it."
        _log.warning(message)
        await self.events.tell(key, record.uid, c.RUN_MISSED, message)
        return review, made

    def _runs(self, key: Key, entry: Entry) -> Runs:
        found = ((each.name, self.cache.get(each)) for each in self.cache.belonging.backups(key))
        told = {
            name: ToldBackup(backup.agent.uid, backup.agent.status)
            for name, backup in found
            if backup is not None and backup.agent is not None
        }
        return Runs.of(told, entry.jobs, entry.runs.values())

    async def _forget(self, key: Key, entry: Entry, plan: PolicyPlan, runs: Runs, now: datetime) -> int:
        """Delete the Backups whose files are gone."""
        writes = 0
        for name in sorted(policystatus.pruned(runs, _record(entry).status, plan.days, now)):
            backup = Key(key.namespace, name, BACKUPS.kind)
            found = self.cache.get(backup)
            if found is not None and found.agent is not None and not found.agent.deleting:
                await hold(self.kube, backup, found, wanted=False)
                try:
                    await self.kube.delete(BACKUPS, key.namespace, name, found.agent.uid)
                except (NotFound, Conflict):
                    continue
                writes += 1
        return writes

    def _wake_backups(self, key: Key, runs: Runs) -> None:
        """Those that wait for the policy, and those of which a later Job has told something."""
        tested = {test.name for report in runs.reports for test in report.tests}
        for each in self.cache.belonging.backups(key):
            known = self.cache.get(each)
            if known is None or known.agent is None:
                continue
            if not known.agent.status.get("started") or each.name in tested:
                self.wake(each)

    async def _tell(
        self,
        key: Key,
        entry: Entry,
        verdict: Verdict,
        status: Mapping[str, Any],
        *,
        now: datetime,
        runs: Runs | None = None,
    ) -> int:
        record = _record(entry)
        before = record.status
        aspects = () if runs is None else (policystatus.verified(before, runs),)
        told = conditions(
            verdict,
            aspects,
            generation=record.generation,
            now=times.written(now),
            before=before.get("conditions") or (),
        )
        kept = {name: value for name, value in before.items() if name != "nextScheduleTime" or runs is None}
        return await self.teller.tell(
            key, entry, {**kept, **status, "conditions": told, "observedGeneration": record.generation}
        )


def _record(entry: Entry) -> AgentRecord:
    if entry.agent is None:
        raise NotFound("The policy was deleted during the pass")
    return entry.agent


def _due(record: AgentRecord, plan: PolicyPlan, now: datetime) -> datetime:
    """The slot that was promised last; after a pause or with another schedule, the next one from now on."""
    before = record.status
    if promised := before.get("nextScheduleTime"):
        slot = datetime.fromisoformat(promised)
        if plan.schedule.fits(slot):
            return slot
        return plan.schedule.next(now)
    if before.get("conditions"):
        return plan.schedule.next(now)
    return plan.schedule.next(datetime.fromisoformat(record.created) if record.created else now)


def _schedule(before: Mapping[str, Any], review: Review | None) -> dict[str, Any]:
    if review is None:
        return {}
    status: dict[str, Any] = {"nextScheduleTime": times.written(review.next)}
    if review.last is not None:
        status["lastScheduleTime"] = max(times.written(review.last), str(before.get("lastScheduleTime") or ""))
    if review.newest_missed is not None:
        count = int((before.get("missed") or {}).get("count") or 0)
        status["missed"] = {"count": count + review.missed, "last": times.written(review.newest_missed)}
    return status


def _verdict(plan: PolicyPlan) -> Verdict:
    if plan.suspended:
        return Verdict("True", c.SUSPENDED, "spec.suspend is true: no backup is made on schedule until it is false.")
    if plan.trouble is not None:
        return plan.trouble
    return Verdict("True", c.READY, "Backups are made on schedule.")


def _again(plan: PolicyPlan, review: Review | None, now: datetime) -> float | None:
    """Seconds until a slot would be missed."""
    if review is None:
        return None
    return max(1.0, (review.next - now).total_seconds() + plan.deadline + 61.0)
