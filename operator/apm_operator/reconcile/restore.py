"""`reconcile(key)` of a Restore: agents rest, its Job restores, agents come back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.backup.errors import SourceError, StorageError
from apm_operator.conditions import Verdict, conditions
from apm_operator.errors import ApiError, Conflict, Forbidden, Invalid, InvalidSpec, NamespaceTerminating, NotFound
from apm_operator.kinds import JOB_NAME_LABEL, JOBS
from apm_operator.reconcile import assess, leases
from apm_operator.reconcile.apply import NameTaken, OwnerLeaving, apply
from apm_operator.reconcile.backupstatus import TERMINAL
from apm_operator.reconcile.ending import Ending, ending, started, trouble, unanswered
from apm_operator.reconcile.holding import held, hold
from apm_operator.reconcile.outcome import Outcome
from apm_operator.reconcile.restoreplan import SourceMissing

if TYPE_CHECKING:
    from apm_operator.backup.report import Progress
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.pauses import Pauses
    from apm_operator.reconcile.records import AgentRecord
    from apm_operator.reconcile.restoreplan import RestorePlan, RestorePlans
    from apm_operator.reconcile.runs import JobFacts, RunPod
    from apm_operator.reconcile.telling import Teller

_STOPPING = "The Restore is deleted: its pod ends, then the agents that rest for it come back."
_PROGRESS_SECONDS = 2.0
_WAITING_SECONDS = 30.0
_UNREACHED = frozenset({SourceError.reason, StorageError.reason})
_PHASES = frozenset({"Waiting", "Verifying", "Restoring", "Comparing", "Swapping"})

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class RestoreReconciler:
    """What a pass needs.

    Attributes:
        wake: has a pass made over another object.
        clock: the present time.
    """

    kube: Kube
    cache: Cache
    plans: RestorePlans
    pauses: Pauses
    teller: Teller
    wake: Callable[[Key], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def reconcile(self, key: Key, failures: int = 0) -> Outcome:  # noqa: ARG002
        """Bring one Restore on, and say in its status how it is."""
        entry = self.cache.get(key)
        if entry is None or entry.agent is None:
            self.plans.release(key)
            self._wake_namespace(key)
            return Outcome("gone")
        if entry.agent.deleting:
            return await self._try(key, entry, self._leave(key, entry))
        if entry.agent.status.get("phase") in TERMINAL:
            return await self._try(key, entry, self._let_go(key, entry))
        return await self._try(key, entry, self._pass(key, entry))

    async def _try(self, key: Key, entry: Entry, work: Awaitable[Outcome]) -> Outcome:
        try:
            return await work
        except (NotFound, NamespaceTerminating) as error:
            _log.debug("The Restore is going away", error=str(error))
            return Outcome("gone")
        except OwnerLeaving as error:
            _log.info("Waiting for garbage collection", error=str(error))
            return Outcome("retry", failed=True)
        except NameTaken as error:
            verdict = assess.name_taken(error.kind, error.name, key.kind)
            return await self._say(key, entry, verdict, again=_WAITING_SECONDS)
        except (Forbidden, Invalid) as error:
            await self._say(key, entry, assess.refused(error))
            return Outcome("retry", failed=True, at_least=error.retry_after)
        except ApiError as error:
            _log.warning("A pass failed", error=str(error), status=error.status)
            return Outcome("retry", failed=True, at_least=error.retry_after)

    async def _pass(self, key: Key, entry: Entry) -> Outcome:
        record, job = _record(entry), entry.jobs.get(key.name)
        if job is None and not record.status.get("started"):
            return await self._prepare(key, entry)
        pods = {name: pod for name, pod in entry.runs.items() if pod.job == key.name}
        if job is not None and job.owner != record.uid:
            if not record.status.get("started"):
                raise NameTaken(JOBS.kind, key.name)
            pods = {name: pod for name, pod in pods.items() if pod.owner != job.uid}
            job = None  # this Restore's own is gone
        end = ending(job, pods.values())
        if end is not None:
            return await self._end(key, entry, end, job)
        if job is None:
            raise NotFound("The Job's end was not told yet")
        runs = started(job, pods.values())
        far, shut = None, None
        if runs and (plan := await self._known(key, entry)) is not None:
            far = await leases.progress(self.kube, key.namespace, plan.leases, frozenset(pods))
            shut = plan.closed
        wrong = self._unanswered(key, pods) or trouble(job, pods.values())
        verdict = shut or Verdict.moving(c.RUNNING, "The Job is at work.")
        if wrong is not None:
            verdict = Verdict.problem(*wrong)
        elif not runs:
            verdict = Verdict.moving(c.PENDING, "The Job has been made; its pod starts.")
        status = {"phase": _phase(record.status, far), "progress": _told(far)}
        return await self._say(key, entry, verdict, status, again=_PROGRESS_SECONDS if runs else _WAITING_SECONDS)

    async def _leave(self, key: Key, entry: Entry) -> Outcome:
        """It is deleted: end its Job, and let agents rest until nobody writes to their database any more."""
        record, job = _record(entry), entry.jobs.get(key.name)
        if held(entry):
            lost = self._unanswered(key, entry.runs)
            stopping = Verdict.problem(*lost) if lost else Verdict.moving(c.STOPPING, _STOPPING)
            if job is not None and job.owner == record.uid:
                if not job.deleting:
                    with suppress(NotFound, Conflict):
                        await self.kube.delete(JOBS, key.namespace, key.name, job.uid, children_first=True)
                return await self._say(key, entry, stopping, again=_WAITING_SECONDS)
            if any(pod.job == key.name and pod.at_work for pod in entry.runs.values()):
                return await self._say(key, entry, stopping, again=_WAITING_SECONDS)
        return await self._let_go(key, entry)

    async def _let_go(self, key: Key, entry: Entry) -> Outcome:
        self.plans.release(key)
        writes = await hold(self.kube, key, entry, wanted=False)
        return Outcome("changed" if writes else "unchanged")

    def _unanswered(self, key: Key, pods: Mapping[str, RunPod]) -> tuple[str, str] | None:
        """Why the Job's next pod, or agents, wait for one of a lost node; they must not write side by side."""
        lost = unanswered(pods, self.clock())
        if not lost:
            return None
        told = (
            f"{lost} Until it is known to have ended, nothing else may write to the database. If the node is gone for "
            "good, delete it (kubectl delete node); if it is switched off, delete its pod: "
            f"kubectl -n {key.namespace} delete pods --selector={JOB_NAME_LABEL}={key.name} --force"
        )
        return c.POD_LOST, told

    async def _known(self, key: Key, entry: Entry) -> RestorePlan | None:
        """The plan, where what it was made of is still there."""
        try:
            return await self.plans.look(key, entry)
        except InvalidSpec:
            return None

    async def _prepare(self, key: Key, entry: Entry) -> Outcome:
        """Let the agents rest, then make the Job."""
        try:
            plan = await self.plans.look(key, entry)
        except SourceMissing as error:
            verdict = Verdict.problem(c.BACKUP_MISSING, str(error))
            return await self._say(key, entry, verdict, {"phase": "Pending"}, again=_WAITING_SECONDS)
        except InvalidSpec as error:
            return await self._say(key, entry, Verdict.stalled(c.SPEC_INVALID, str(error)), {"phase": "Pending"})
        if plan.missing is not None:
            return await self._say(key, entry, plan.missing, {"phase": "Pending"}, again=_WAITING_SECONDS)
        if plan.spec.pause_agents:
            await self._check_name(key)
            if (waiting := await self._pause(key, entry)) is not None:
                return waiting
        await hold(self.kube, key, entry, wanted=plan.spec.pause_agents)
        uid = _record(entry).uid
        await leases.ensure(self.kube, key, uid, plan.leases)
        await apply(self.kube, self.cache, key, plan.manifests, uid)
        try:
            answer = await self.kube.create(JOBS, key.namespace, plan.job)
        except Conflict:
            answer = await self.kube.get(JOBS, key.namespace, key.name)
            if not any(owner["uid"] == uid for owner in answer["metadata"].get("ownerReferences") or ()):
                raise NameTaken(JOBS.kind, key.name) from None
        self.cache.observe({**answer, "kind": JOBS.kind}, deleted=False)
        status = {"phase": "Waiting", "started": times.written(self.clock()), "backup": plan.stored}
        verdict = Verdict.moving(c.PENDING, "The Job has been made; its pod starts.")
        return await self._say(key, entry, verdict, status, again=_PROGRESS_SECONDS)

    async def _check_name(self, key: Key) -> None:
        """No agent is to rest for a Job that can't be made."""
        with suppress(NotFound):
            await self.kube.get(JOBS, key.namespace, key.name)
            raise NameTaken(JOBS.kind, key.name)

    async def _pause(self, key: Key, entry: Entry) -> Outcome | None:
        """Let the agents rest that use the database; None once they do."""
        agents = self.pauses.agents(key)
        names = [agent.name for agent in agents]
        pods = [pod for agent in agents for pod in _pods(self.cache.get(agent))]
        told = f"Agents {', '.join(names)} come to rest: {len(pods)} of their pods are left."
        resting = _record(entry).status.get("phase") == "Pausing"
        if resting and not pods and all(self._at_rest(agent) for agent in agents):
            return None
        status: dict[str, Any] = {"phase": "Pausing", "pausedAgents": names or None}
        stays = " ".join(filter(None, (self._stays(agent) for agent in agents)))
        verdict = Verdict.problem(c.PENDING, f"{told} {stays}") if stays else Verdict.moving(c.PENDING, told)
        outcome = await self._say(key, entry, verdict, status, again=1.0)
        for agent in agents:
            self.wake(agent)
        return outcome

    def _at_rest(self, agent: Key) -> bool:
        entry = self.cache.get(agent)
        facts = entry.deployment if entry is not None else None
        return facts is None or (facts.wanted == 0 and facts.done)

    def _stays(self, agent: Key) -> str:
        """Why an agent keeps its pods, and what to do; "" where it is about to rest."""
        why = self.pauses.unchanged(agent)
        if self._at_rest(agent) or not why:
            return ""
        return (
            f"Agent {agent.name} keeps its pods, since {why}: mend that, or "
            f"kubectl -n {agent.namespace} scale deployment {agent.name} --replicas=0"
        )

    async def _end(self, key: Key, entry: Entry, end: Ending, job: JobFacts | None) -> Outcome:
        report = end.report.restore if end.report is not None else None
        status: dict[str, Any] = {
            "phase": "Completed" if end.succeeded else "Failed",
            "finished": (job.finished if job is not None else "") or times.written(self.clock()),
            "progress": None,
            "pausedAgents": None,
        }
        if report is not None:
            status |= {
                "backup": report.name,
                "documents": report.documents,
                "size": report.size,
                "collections": report.collections,
                "indexes": report.indexes,
            }
        told = end.message
        if end.reason in _UNREACHED and (plan := await self._known(key, entry)) is not None and plan.closed is not None:
            told = f"{told} {plan.closed.message}"
        verdict = Verdict.stalled(end.reason, told)
        if end.succeeded:
            verdict = Verdict("True", c.COMPLETED, end.message)
        outcome = await self._say(key, entry, verdict, status)
        self._wake_namespace(key)
        return outcome

    async def _say(
        self,
        key: Key,
        entry: Entry,
        verdict: Verdict,
        status: Mapping[str, Any] | None = None,
        *,
        again: float | None = None,
    ) -> Outcome:
        record = _record(entry)
        before = record.status
        made = conditions(
            verdict,
            generation=record.generation,
            now=times.written(self.clock()),
            before=before.get("conditions") or (),
        )
        wanted = {**before, **(status or {}), "conditions": made, "observedGeneration": record.generation}
        writes = await self.teller.tell(key, entry, {name: each for name, each in wanted.items() if each is not None})
        return Outcome("changed" if writes else "unchanged", again)

    def _wake_namespace(self, key: Key) -> None:
        """Have the agents come back that rest for it; what they rest for can't be asked of a Restore that is gone."""
        for each in self.cache:
            if each.kind == "AgentDeployment" and each.namespace == key.namespace:
                self.wake(each)


def _record(entry: Entry) -> AgentRecord:
    if entry.agent is None:
        raise NotFound("The Restore was deleted during the pass")
    return entry.agent


def _pods(entry: Entry | None) -> list[str]:
    return sorted(entry.pods) if entry is not None else []


def _phase(before: Mapping[str, Any], far: Progress | None) -> str:
    return far.phase if far is not None and far.phase in _PHASES else str(before.get("phase") or "Waiting")


def _told(far: Progress | None) -> dict[str, Any] | None:
    if far is None:
        return None
    told = {"documents": far.documents, "bytes": far.bytes, "percent": far.percent}
    return {name: value for name, value in told.items() if value is not None}
