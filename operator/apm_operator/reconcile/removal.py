"""`deletionPolicy: Delete`: the files of a Backup or of a policy go before the resource does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.conditions import Verdict, conditions
from apm_operator.errors import Conflict, Forbidden, Invalid, InvalidSpec, NamespaceTerminating, NotFound
from apm_operator.kinds import BACKUPS, BY_KIND, CRON_JOBS, JOBS
from apm_operator.manifests.agent import canonical
from apm_operator.queue import Key
from apm_operator.reconcile import assess, leases
from apm_operator.reconcile.apply import NameTaken, apply
from apm_operator.reconcile.ending import Ending, ending, trouble, unanswered
from apm_operator.reconcile.entry import Entry
from apm_operator.reconcile.holding import held, hold
from apm_operator.reconcile.outcome import Outcome
from apm_operator.reconcile.removalplan import Files, job_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from apm_operator.kube import Kube
    from apm_operator.reconcile.backupplan import PolicyPlans
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.records import AgentRecord
    from apm_operator.reconcile.removalplan import RemovalPlan, RemovalPlans
    from apm_operator.reconcile.runs import JobFacts
    from apm_operator.reconcile.telling import Teller

_LOOK_SECONDS = 30.0
_AGAIN_SECONDS = 300.0
"""How long a Job that has failed stays, before another one has its try."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Removal:
    """Holds what is to be removed by a finalizer, and removes its files by a Job.

    The Job and what it needs belong to nobody that is being deleted: in a deletion in the foreground, everything that
    does is gone before the finalizer's turn comes.
    """

    kube: Kube
    cache: Cache
    policies: PolicyPlans
    plans: RemovalPlans
    teller: Teller
    clock: Callable[[], datetime]

    async def of_backup(self, key: Key, entry: Entry, policy: Key) -> Outcome:
        """Remove the files of one Backup, then let it go."""
        record = entry.agent
        if record is None or not held(entry):
            self.plans.release(key)
            return Outcome("gone")
        if record.status.get("sha256"):
            owner = self.cache.get(policy)
            # Its policy may have another storage by now.
            location = record.status.get("location") or self.policies.place(policy, owner)
            names = (_stored(key.name, record),)
            try:
                files = Files.of(policy, owner, location, names=names)
            except InvalidSpec as error:
                return await self._failed(key, entry, Ending(False, c.POLICY_MISSING, f"{error}."), None)
            if (going := await self._remove(key, entry, files)) is not None:
                return going
        return await self._let_go(key, entry)

    async def of_policy(self, key: Key, entry: Entry) -> Outcome:
        """Remove all that a policy has stored, and its Backups, then let it go."""
        record = entry.agent
        if record is None or not held(entry):
            self.plans.release(key)
            return Outcome("gone")
        await self._stop(key, entry)
        location = self.policies.place(key, entry)
        backups = self._backups(key)
        kept = {name: _stored(name, found) for name, found in backups.items() if _retained(found)}
        try:
            files = Files.of(key, entry, location, kept=tuple(sorted(kept.values())))
        except InvalidSpec as error:
            return await self._failed(key, entry, Ending(False, c.SPEC_INVALID, f"{error}."), None)
        if (going := await self._remove(key, entry, files)) is not None:
            return going
        for name, found in backups.items():
            if name in kept:
                continue
            if not _elsewhere(found, location):  # else its files go by themselves
                backup = Key(key.namespace, name, BACKUPS.kind)
                await hold(self.kube, backup, self.cache.get(backup) or Entry(), wanted=False)
            await self._delete(BACKUPS.kind, key.namespace, name, found.uid)
        return await self._let_go(key, entry)

    def _backups(self, policy: Key) -> dict[str, AgentRecord]:
        """The Backups of a policy, by name."""
        found = ((each.name, self.cache.get(each)) for each in self.cache.belonging.backups(policy))
        return {name: entry.agent for name, entry in found if entry is not None and entry.agent is not None}

    async def _stop(self, key: Key, entry: Entry) -> None:
        """What goes on would store something anew."""
        for (kind, name), child in tuple(entry.children.items()):
            if kind == CRON_JOBS.kind:
                await self._delete(kind, key.namespace, name, child.uid)
        for name, job in tuple(entry.jobs.items()):
            if job.command != "remove" and not (job.result or job.deleting):
                await self._delete(JOBS.kind, key.namespace, name, job.uid)

    async def _remove(self, key: Key, entry: Entry, files: Files) -> Outcome | None:
        """Bring the removal on; None once it is done, or can't be."""
        try:
            return await self._bring_on(key, entry, files)
        except NamespaceTerminating:
            _log.warning("The namespace is being deleted, so that what is stored stays", left=files.described())
            return None
        except InvalidSpec as error:
            end = Ending(False, c.SPEC_INVALID, f"{error}.")
        except NameTaken as error:
            verdict = assess.name_taken(error.kind, error.name, key.kind)
            end = Ending(False, verdict.reason, verdict.message)
        except (Forbidden, Invalid) as error:
            verdict = assess.refused(error)
            end = Ending(False, verdict.reason, verdict.message)
        return await self._failed(key, entry, end, files)

    async def _bring_on(self, key: Key, entry: Entry, files: Files) -> Outcome | None:
        record = _record(entry)
        name = job_name(key, record.uid)
        job = entry.jobs.get(name)
        end = ending(job, [pod for pod in entry.runs.values() if pod.job == name]) if job is not None else None
        if job is None or job.suspended:
            plan = await self.plans.look(key, record.uid, files)
            # Made even where it can't start yet: in a namespace that is being deleted this is refused, whereas there
            # the Secrets are only missing.
            job = job or await self._make(key, entry, plan)
            if plan.missing is not None:
                lost = Ending(False, plan.missing.reason, f"{plan.missing.message}.")
                return await self._failed(key, entry, lost, files)
            return await self._start(key, entry, plan, job)
        if end is None and unanswered(entry.runs, self.clock()):
            await self._delete(JOBS.kind, key.namespace, name, job.uid)  # another one has its try
            return Outcome("changed", _LOOK_SECONDS)
        if end is None:
            wrong = trouble(job, entry.runs.values())
            moving = Verdict.moving(c.REMOVING, f"Job {name} removes what is stored.")
            await self._tell(key, entry, moving if wrong is None else Verdict.problem(*wrong))
            return Outcome("unchanged", _LOOK_SECONDS)
        if end.succeeded:
            await self._delete(JOBS.kind, key.namespace, name, job.uid)
            return None
        return await self._after_failure(key, entry, files, end, (name, job))

    async def _make(self, key: Key, entry: Entry, plan: RemovalPlan) -> JobFacts:
        try:
            answer = await self.kube.create(JOBS, key.namespace, plan.job)
        except Conflict:
            answer = await self.kube.get(JOBS, key.namespace, plan.name)
        self.cache.observe({**answer, "kind": JOBS.kind}, deleted=False)
        job = entry.jobs.get(plan.name)
        if job is None:
            raise NameTaken(JOBS.kind, plan.name)
        return job

    async def _start(self, key: Key, entry: Entry, plan: RemovalPlan, job: JobFacts) -> Outcome:
        """Make what belongs to the Job, and let it go."""
        await leases.ensure(self.kube, Key(key.namespace, plan.name, JOBS.kind), job.uid, plan.work.leases)
        await apply(self.kube, self.cache, key, plan.children(job.uid), job.uid)
        body = {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "metadata": {"name": plan.name, "namespace": key.namespace, "uid": job.uid},
            "spec": {"suspend": False},
        }
        answer = await self.kube.apply(JOBS, key.namespace, plan.name, canonical(body))
        self.cache.observe({**answer, "kind": JOBS.kind}, deleted=False)
        await self._tell(key, entry, Verdict.moving(c.REMOVING, f"Job {plan.name} removes what is stored."))
        return Outcome("changed", _LOOK_SECONDS)

    async def _after_failure(
        self, key: Key, entry: Entry, files: Files, end: Ending, job: tuple[str, JobFacts]
    ) -> Outcome:
        name, facts = job
        ended = datetime.fromisoformat(facts.finished) if facts.finished else self.clock()
        left = _AGAIN_SECONDS - (self.clock() - ended).total_seconds()
        if left <= 0:
            await self._delete(JOBS.kind, key.namespace, name, facts.uid)
            return Outcome("changed", _LOOK_SECONDS)
        await self._failed(key, entry, end, files)
        return Outcome("retry", left)

    async def _delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        try:
            await self.kube.delete(BY_KIND[kind], namespace, name, uid)
        except (NotFound, Conflict):
            return

    async def _let_go(self, key: Key, entry: Entry) -> Outcome:
        await hold(self.kube, key, entry, wanted=False)
        self.plans.release(key)
        return Outcome("gone")

    async def _failed(self, key: Key, entry: Entry, end: Ending, files: Files | None) -> Outcome:
        told = [f"What is stored could not be removed ({end.reason}): {end.message} It is tried again by itself."]
        if files is not None and files.orphaned:
            told.append(
                f"BackupPolicy {files.policy.name} is gone, and with it its spec.job and spec.network: make it again "
                "where the Job needs them."
            )
        told.append("Or remove it by hand" + (f", {files.described()}," if files is not None else ""))
        told.append(
            f"and let this resource go: kubectl -n {key.namespace} patch {key.kind.lower()} {key.name} --type=merge "
            '--patch=\'{"metadata":{"finalizers":null}}\''
        )
        await self._tell(key, entry, Verdict.problem(c.REMOVAL_FAILED, " ".join(told)))
        return Outcome("retry", failed=True, at_least=_LOOK_SECONDS)

    async def _tell(self, key: Key, entry: Entry, verdict: Verdict) -> None:
        record = _record(entry)
        made = conditions(
            verdict,
            generation=record.generation,
            now=times.written(self.clock()),
            before=record.status.get("conditions") or (),
        )
        await self.teller.tell(key, entry, {**record.status, "conditions": made})


def _stored(name: str, backup: AgentRecord) -> str:
    """What it is called in the storage."""
    return str(backup.status.get("name") or name)


def _retained(backup: AgentRecord) -> bool:
    """Whether it says itself that its files are to stay."""
    return bool(json.loads(backup.body)["spec"].get("deletionPolicy") == "Retain")


def _elsewhere(backup: AgentRecord, place: dict[str, object]) -> bool:
    """Whether its files lie where its policy did not store at the end."""
    own = backup.status.get("location") or place
    return bool(backup.status.get("sha256")) and any(own.get(each) != place.get(each) for each in ("storage", "path"))


def _record(entry: Entry) -> AgentRecord:
    if entry.agent is None:
        raise NotFound("The object was deleted during the pass")
    return entry.agent
