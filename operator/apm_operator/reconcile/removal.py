"""`deletionPolicy: Delete`: the files of a Backup or of a policy go before the resource does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.conditions import Verdict, conditions
from apm_operator.errors import Conflict, InvalidSpec, NotFound
from apm_operator.kinds import BACKUPS, BY_KIND, FIELD_MANAGER, FINALIZER, JOBS
from apm_operator.manifests.agent import canonical, digest
from apm_operator.reconcile.ending import Ending, ending
from apm_operator.reconcile.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.backupplan import PolicyPlan, PolicyPlans
    from apm_operator.reconcile.cache import Cache, Entry
    from apm_operator.reconcile.telling import Teller

_LONGEST_NAME = 63


@dataclass(slots=True)
class Removal:
    """Holds what is to be removed by a finalizer, and removes its files by a Job."""

    kube: Kube
    cache: Cache
    plans: PolicyPlans
    teller: Teller
    clock: Callable[[], datetime]

    async def hold(self, key: Key, entry: Entry, *, wanted: bool) -> int:
        """Have the finalizer on an object, or off.

        Returns:
            The number of writes.
        """
        record = entry.agent
        if record is None or (FINALIZER in record.finalizers) == wanted or (wanted and record.deleting):
            return 0
        resource = BY_KIND[key.kind]
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "uid": record.uid,
                "finalizers": [FINALIZER] if wanted else [],
            },
        }
        # A manager of its own: it names nothing but the finalizer.
        manager = f"{FIELD_MANAGER}-finalizer"
        answer = await self.kube.apply(resource, key.namespace, key.name, canonical(body), manager=manager)
        record.finalizers = tuple(answer["metadata"].get("finalizers") or ())
        return 1

    async def of_backup(self, key: Key, entry: Entry, policy: Key) -> Outcome:
        """Remove the files of one Backup, then let it go."""
        record = entry.agent
        if record is None or FINALIZER not in record.finalizers:
            return Outcome("gone")
        owner = self.cache.get(policy)
        stored = str(record.status.get("name") or key.name)
        if not record.status.get("sha256") or owner is None or owner.agent is None:
            # Without its policy nobody knows how to get at the storage: what lies there stays.
            return await self._let_go(key, entry)
        return await self._remove(key, entry, policy, (stored,))

    async def of_policy(self, key: Key, entry: Entry) -> Outcome:
        """Remove all that a policy has stored, and its Backups, then let it go."""
        record = entry.agent
        if record is None or FINALIZER not in record.finalizers:
            return Outcome("gone")
        outcome = await self._remove(key, entry, key, ())
        if outcome.result != "gone":
            return outcome
        for backup in self.cache.belonging.backups(key):
            found = self.cache.get(backup)
            if found is None or found.agent is None:
                continue
            await self.hold(backup, found, wanted=False)
            try:
                await self.kube.delete(BACKUPS, key.namespace, backup.name, found.agent.uid)
            except (NotFound, Conflict):
                continue
        return outcome

    async def _remove(self, key: Key, entry: Entry, policy: Key, names: tuple[str, ...]) -> Outcome:
        name, owner = _job_name(key), self.cache.get(policy)
        if owner is None:
            return await self._let_go(key, entry)
        job = owner.jobs.get(name)
        if job is None:
            try:
                plan = await self.plans.look(policy, owner)
            except InvalidSpec as error:
                return await self._failed(key, entry, Ending(False, c.SPEC_INVALID, str(error)))
            return await self._start(key, entry, plan, name, names)
        end = ending(job, [pod for pod in owner.runs.values() if pod.job == name])
        if end is None:
            return Outcome("unchanged")
        if end.succeeded:
            await self._clear(key, name, job.uid)
            return await self._let_go(key, entry)
        told = await self._failed(key, entry, end)
        await self._clear(key, name, job.uid)
        return told

    async def _start(self, key: Key, entry: Entry, plan: PolicyPlan, name: str, names: tuple[str, ...]) -> Outcome:
        body: Mapping[str, object] = plan.remove_job(name, names)
        try:
            answer = await self.kube.create(JOBS, key.namespace, body)
        except Conflict:
            answer = await self.kube.get(JOBS, key.namespace, name)
        self.cache.observe({**answer, "kind": JOBS.kind}, deleted=False)
        await self._tell(key, entry, Verdict.moving(c.REMOVING, f"Job {name} removes what is stored."))
        return Outcome("changed", 10.0)

    async def _clear(self, key: Key, name: str, uid: str) -> None:
        try:
            await self.kube.delete(JOBS, key.namespace, name, uid)
        except (NotFound, Conflict):
            return

    async def _let_go(self, key: Key, entry: Entry) -> Outcome:
        await self.hold(key, entry, wanted=False)
        return Outcome("gone")

    async def _failed(self, key: Key, entry: Entry, end: Ending) -> Outcome:
        told = (
            f"What is stored could not be removed ({end.reason}): {end.message} It is tried again. If the storage is "
            f"gone for good, let this resource go: kubectl -n {key.namespace} patch {key.kind.lower()} {key.name} "
            '--type=merge --patch=\'{"metadata":{"finalizers":null}}\''
        )
        await self._tell(key, entry, Verdict.problem(c.REMOVAL_FAILED, told))
        return Outcome("retry", failed=True, at_least=30.0)

    async def _tell(self, key: Key, entry: Entry, verdict: Verdict) -> None:
        record = entry.agent
        if record is None:
            return
        before = record.status
        made = conditions(
            verdict,
            generation=record.generation,
            now=times.written(self.clock()),
            before=before.get("conditions") or (),
        )
        await self.teller.tell(key, entry, {**before, "conditions": made})


def _job_name(key: Key) -> str:
    name = f"{key.name}-remove"
    return name if len(name) <= _LONGEST_NAME else f"{key.name[:45]}-{digest(key.name.encode())}-rm"
