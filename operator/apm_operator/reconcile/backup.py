"""`reconcile(key)` of a Backup: its Job, what that reports, and the end of its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.errors import Conflict, Forbidden, Invalid, InvalidSpec, NotFound
from apm_operator.kinds import CRON_JOBS, JOBS
from apm_operator.reconcile import assess, backupstatus, leases
from apm_operator.reconcile.apply import NameTaken
from apm_operator.reconcile.belonging import policy_of
from apm_operator.reconcile.ending import Ending, ending, started, trouble, unanswered
from apm_operator.reconcile.holding import hold
from apm_operator.reconcile.outcome import Outcome, guarded
from apm_operator.reconcile.policystatus import Runs

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.backupplan import PolicyPlan, PolicyPlans
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.records import AgentRecord
    from apm_operator.reconcile.removal import Removal
    from apm_operator.reconcile.runs import JobFacts, RunPod
    from apm_operator.reconcile.telling import Teller

PROGRESS_SECONDS = 2.0
_WAITING_SECONDS = 60.0


@dataclass(slots=True)
class BackupReconciler:
    """What a pass needs.

    Attributes:
        wake: has a pass made over another object.
        clock: the present time.
    """

    kube: Kube
    cache: Cache
    plans: PolicyPlans
    teller: Teller
    removal: Removal
    wake: Callable[[Key], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def reconcile(self, key: Key, failures: int = 0) -> Outcome:  # noqa: ARG002
        """Bring one Backup on, and say in its status how it is."""
        entry = self.cache.get(key)
        if entry is None or entry.agent is None:
            self.removal.plans.release(key)
            return Outcome("gone")
        policy = policy_of(key.namespace, json.loads(entry.agent.body)["spec"])
        if entry.agent.deleting:
            return await guarded(self.removal.of_backup(key, entry, policy))
        if backupstatus.phase(entry.agent.status) in backupstatus.TERMINAL:
            return await guarded(self._after(key, entry, policy))
        return await guarded(self._pass(key, entry, policy))

    async def _pass(self, key: Key, entry: Entry, policy: Key) -> Outcome:
        owner = self.cache.get(policy)
        job = owner.jobs.get(key.name) if owner is not None else None
        if job is None and not _record(entry).status.get("started"):
            made = await self._make(key, entry, policy, owner)
            if isinstance(made, Outcome):
                return made
            job, owner = made, self.cache.get(policy)
        pods = _pods(owner, key.name)
        if job is not None and not self._own(job, owner, entry):
            if not _record(entry).status.get("started"):
                taken = assess.name_taken(JOBS.kind, key.name, key.kind)
                return await self._wait(key, entry, taken.reason, taken.message)
            pods = {name: pod for name, pod in pods.items() if pod.owner != job.uid}
            job = None  # this Backup's own is gone
        end = ending(job, pods.values())
        if end is not None:
            return await self._end(key, entry, policy, end, job)
        if lost := unanswered(pods, self.clock()):
            return await self._give_up(key, entry, policy, lost, job)
        if job is None:
            raise NotFound("The Job's end was not told yet")
        return await self._follow(key, entry, policy, job, pods)

    async def _give_up(self, key: Key, entry: Entry, policy: Key, lost: str, job: JobFacts | None) -> Outcome:
        """Let the next run begin. Should the pod run after all, it ends by itself, without its Leases."""
        if job is not None:
            with suppress(NotFound, Conflict):
                await self.kube.delete(JOBS, key.namespace, key.name, job.uid)
        end = Ending(False, c.POD_LOST, f"{lost} Its Job was deleted, so that the next run can begin.")
        return await self._end(key, entry, policy, end, job)

    async def _follow(self, key: Key, entry: Entry, policy: Key, job: JobFacts, pods: Mapping[str, RunPod]) -> Outcome:
        """Say how far a Job is that goes on."""
        record, now = _record(entry), self.clock()
        runs = started(job, pods.values())
        names = self.plans.leases(policy)
        told = await leases.progress(self.kube, key.namespace, names, frozenset(pods)) if runs else None
        status = backupstatus.running(record.status, job, told, started=runs, generation=record.generation, now=now)
        status["started"] = status.get("started") or times.written(now)
        if (wrong := trouble(job, pods.values())) is not None:
            status = backupstatus.waiting(status, *wrong, generation=record.generation, now=now)
        status |= self._place(policy)
        writes = await self.teller.tell(key, entry, status)
        return Outcome("changed" if writes else "unchanged", PROGRESS_SECONDS if runs else _WAITING_SECONDS)

    async def _make(self, key: Key, entry: Entry, policy: Key, owner: Entry | None) -> Outcome | JobFacts:
        """Make the Job, or say why it can't be."""
        record = _record(entry)
        if owner is None or owner.agent is None or owner.agent.deleting:
            told = f"There is no BackupPolicy {policy.name} in the namespace {key.namespace}: make it, or delete this."
            return await self._wait(key, entry, c.POLICY_MISSING, told)
        try:
            plan = await self.plans.look(policy, owner)
        except InvalidSpec as error:
            return await self._wait(key, entry, c.SPEC_INVALID, f"BackupPolicy {policy.name}: {error}")
        if plan.trouble is not None and plan.trouble.reason != c.TARGETS_UNKNOWN:
            return await self._wait(key, entry, plan.trouble.reason, plan.trouble.message)
        if (CRON_JOBS.kind, plan.cron_job) not in owner.children:
            return await self._wait(key, entry, c.PROGRESSING, f"BackupPolicy {policy.name} is being set up.")
        try:
            return await self._create(key, policy, plan, record)
        except NameTaken as error:
            verdict = assess.name_taken(error.kind, error.name, key.kind)
        except (Forbidden, Invalid) as error:
            verdict = assess.refused(error)
        return await self._wait(key, entry, verdict.reason, verdict.message)

    async def _create(self, key: Key, policy: Key, plan: PolicyPlan, record: AgentRecord) -> JobFacts:
        try:
            answer = await self.kube.create(JOBS, key.namespace, plan.job(key.name, key, record.uid))
        except Conflict:
            answer = await self.kube.get(JOBS, key.namespace, key.name)
        for each in self.cache.observe({**answer, "kind": JOBS.kind}, deleted=False):
            if each != key:
                self.wake(each)
        owner = self.cache.get(policy)
        job = owner.jobs.get(key.name) if owner is not None else None
        if job is None:
            raise NameTaken(JOBS.kind, key.name)
        return job

    @staticmethod
    def _own(job: JobFacts, owner: Entry | None, entry: Entry) -> bool:
        crons = [] if owner is None else [each.uid for (kind, _), each in owner.children.items() if kind == "CronJob"]
        # A policy that is gone has no CronJob any more, and its Backup goes on as it was.
        return job.owner in (_record(entry).uid, *crons) or job.adopted

    async def _wait(self, key: Key, entry: Entry, reason: str, message: str) -> Outcome:
        record = _record(entry)
        status = backupstatus.waiting(record.status, reason, message, generation=record.generation, now=self.clock())
        writes = await self.teller.tell(key, entry, status)
        return Outcome("changed" if writes else "unchanged", _WAITING_SECONDS)

    async def _end(self, key: Key, entry: Entry, policy: Key, end: Ending, job: JobFacts | None) -> Outcome:
        record, owner = _record(entry), self.cache.get(policy)
        terms = self.plans.terms(owner)
        status = backupstatus.ended(
            record.status,
            end,
            job,
            tested=terms.tested,
            days=terms.days,
            generation=record.generation,
            now=self.clock(),
        )
        status |= self._place(policy)
        await self.teller.tell(key, entry, status)
        self.wake(policy)
        return Outcome("changed", 0.0)

    async def _after(self, key: Key, entry: Entry, policy: Key) -> Outcome:
        """Nothing that has ended changes but the verdict, by later tests."""
        record, owner = _record(entry), self.cache.get(policy)
        terms = self.plans.terms(owner)
        own = json.loads(record.body)["spec"].get("deletionPolicy")
        stored = bool(record.status.get("sha256"))
        writes = await hold(self.kube, key, entry, wanted=stored and (own or terms.deletion) == "Delete")
        status: dict[str, Any] = record.status
        if owner is not None and status.get("phase") == "Completed":
            for report in Runs.of({}, owner.jobs, owner.runs.values()).reports:
                for test in report.tests:
                    if test.name == (status.get("name") or key.name):
                        status = backupstatus.retested(status, test, generation=record.generation, now=self.clock())
        told = await self.teller.tell(key, entry, status)
        if told:
            self.wake(policy)
        return Outcome("changed" if writes + told else "unchanged")

    def _place(self, policy: Key) -> dict[str, Any]:
        """Where it is stored, so that it can be restored when the policy is gone."""
        place = self.plans.place(policy, self.cache.get(policy))
        return {"location": place} if place else {}


def _record(entry: Entry) -> AgentRecord:
    if entry.agent is None:
        raise NotFound("The Backup was deleted during the pass")
    return entry.agent


def _pods(owner: Entry | None, job: str) -> dict[str, RunPod]:
    return {} if owner is None else {name: pod for name, pod in owner.runs.items() if pod.job == job}
