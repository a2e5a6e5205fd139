"""`reconcile(key)`: one pass over one AgentDeployment.

It may be killed anywhere; the next pass goes on from what is there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.api.agentdeployment import AgentDeployment
from apm_operator.conditions import Aspect, Verdict
from apm_operator.errors import ApiError, InvalidSpec, NotFound
from apm_operator.kinds import AGENTS, AUTOSCALERS, SERVICES
from apm_operator.manifests import certificate
from apm_operator.reconcile import assess, keda, plan, scaling, status
from apm_operator.reconcile.apply import NameTaken, apply, prune
from apm_operator.reconcile.outcome import Outcome, guarded
from apm_operator.reconcile.prober import Proof
from apm_operator.reconcile.refusal import refusal
from apm_operator.reconcile.standing import unneeded

if TYPE_CHECKING:
    from apm_operator.api.permissions import Permission
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.certificates import Certificates
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.events import Events
    from apm_operator.reconcile.plan import Images, Manifest, Plan
    from apm_operator.reconcile.prober import Prober
    from apm_operator.reconcile.records import AgentRecord
    from apm_operator.reconcile.secrets import Findings, Secrets
    from apm_operator.reconcile.standing import Standing
    from apm_operator.reconcile.surroundings import Neighbours

_UNREADY_SECONDS = 5.0
_KEDA_SECONDS = 60.0
"""KEDA is not watched."""
_LONG_SPEC = 32_768
"""Bytes from which on a spec is checked beside the event loop: the largest take seconds, and the loop has a lease to
renew."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Reconciler:
    """What a pass needs.

    Attributes:
        home: namespace of the operator, where no agents are made.
        rests: name of the Restore for which an agent is to have no pods; "" where there is none.
        anomalous: whether an agent's numbers are as usual; None where that is not known yet.
        pressed: whether other agents wait for a pass.
    """

    kube: Kube
    cache: Cache
    secrets: Secrets
    neighbours: Neighbours
    certificates: Certificates
    events: Events
    keda: keda.Keda
    prober: Prober
    images: Images
    grantable: tuple[Permission, ...] = ()
    home: str = ""
    rests: Callable[[Key], str] = lambda _: ""
    anomalous: Callable[[Key], Aspect | None] = lambda _: None
    pressed: Callable[[], bool] = bool

    async def reconcile(self, key: Key, failures: int = 0) -> Outcome:
        """Make one agent what its spec says, and say in its status how it is.

        Args:
            key: the agent.
            failures: how many passes over it have failed in a row.
        """
        entry = self.cache.get(key)
        if entry is None or entry.agent is None or entry.agent.deleting:
            if entry is None or entry.agent is None:
                self.secrets.release(key)
                self.neighbours.release(key)
                self.certificates.release(key)
            return Outcome("gone")
        return await guarded(self._pass(key, entry, failures))

    async def _pass(self, key: Key, entry: Entry, failures: int) -> Outcome:
        if key.namespace == self.home:
            return await self._stall(key, entry, None, assess.at_home(key))
        try:
            made, secrets = await self._plan(key, entry)
        except InvalidSpec as error:
            return await self._stall(key, entry, None, Verdict.stalled(c.SPEC_INVALID, str(error)))
        if made.suspended:
            aspects, again = await self._keep_alive(key, entry, made)
            return self._ended(await self._tell(key, entry, made, _suspended(entry), aspects), again)
        if made.problems:
            return await self._stall(key, entry, made, Verdict.stalled(c.WORKFLOW_INVALID, made.problems))
        return await self._work(key, entry, made, secrets, failures)

    async def _work(self, key: Key, entry: Entry, made: Plan, secrets: Findings, failures: int) -> Outcome:
        try:
            standing = await self._certify(key, entry, made)
            if standing is not None and standing.problem is not None:
                told = await self._tell(key, entry, made, standing.problem, (standing.aspect,))
                return self._ended(told, standing.again)
            if standing is not None and made.outlook.surroundings.authorities != self.certificates.trusted(key):
                return Outcome("changed", again=0.0)  # another has signed than was known when the plan was made
            writes = await self._apply(key, entry, made)
            scaled = await self._scaled(key, entry, made)
            if standing is None:
                await self.certificates.remove(key, _agent(entry).uid, told=_has_certificate(entry))
        except (NameTaken, ApiError) as error:
            if (refused := refusal(error, failures, "agent")) is None:
                raise
            await self._tell(key, entry, made, refused.verdict)
            return refused.outcome
        verdict, again = await self._verdict(key, entry, made, secrets, standing)
        if writes and verdict.reason == c.PROGRESSING and self.pressed():
            return Outcome("changed", untold=True)
        certified = unneeded() if standing is None else standing.aspect
        anomalous = self.anomalous(key)
        watched = (anomalous,) if anomalous is not None else ()
        aspects = (assess.network(made.outlook.unknown), certified, scaled, *watched)
        told = await self._tell(key, entry, made, verdict, aspects)
        return self._ended(writes + told, _sooner(again, standing, _KEDA_SECONDS if made.wanted.keda else None))

    async def _certify(self, key: Key, entry: Entry, made: Plan) -> Standing | None:
        """Have the agent's certificate in its Secret, before anything that mounts it; None where it needs none."""
        if not made.tls.enabled:
            return None
        return await self.certificates.keep(key, _agent(entry).uid, made.tls, new=not _has_certificate(entry))

    async def _keep_alive(self, key: Key, entry: Entry, made: Plan) -> tuple[tuple[Aspect, ...], float | None]:
        """What runs goes on with a certificate that is renewed, and trusts who is to be trusted now."""
        if not _has_certificate(entry) or made.trust is None:
            return (), None
        try:
            standing = await self._certify(key, entry, made)
            if standing is None or standing.leaf is None:
                return (), _sooner(None, standing)
            await apply(self.kube, self.cache, key, (made.trust,), _agent(entry).uid)
        except NameTaken:
            return (), None
        return (standing.aspect,), standing.again

    async def _apply(self, key: Key, entry: Entry, made: Plan) -> int:
        uid = _agent(entry).uid
        begin = partial(scaling.begin, self.kube, self.cache, key, made, uid)
        writes = 0 if made.keda else await self.keda.withdraw(key, uid, _told(entry))
        writes += await begin()
        writes += await apply(self.kube, self.cache, key, _due(key, entry, made), uid)
        writes += await begin()  # a new Deployment has one pod
        return writes + await prune(self.kube, key, entry, made, uid)

    async def _scaled(self, key: Key, entry: Entry, made: Plan) -> Aspect:
        """Have KEDA scale the agent where it is to; the condition Autoscaling."""
        if made.keda:
            up = any(pod.ready and pod.config == made.config_hash for pod in entry.pods.values())
            asked = await self.keda.ask(key, _agent(entry).uid, made.keda, None if up else made.keda_first)
            return keda.with_activator(asked, made.activator, entry.activator) if made.activator else asked
        if made.keda_missing:
            others = any(each.resource is AUTOSCALERS for each in made.manifests)
            return keda.missing(others=others)
        return scaling.aspect(entry.autoscaler, key.name, made.least)

    async def _stall(self, key: Key, entry: Entry, made: Plan | None, verdict: Verdict) -> Outcome:
        """Nothing is applied: what runs goes on as it was, until somebody changes the spec."""
        kept = made or entry.plan
        aspects, again = await self._keep_alive(key, entry, kept) if kept is not None else ((), None)
        return Outcome("invalid" if await self._tell(key, entry, made, verdict, aspects) else "unchanged", again)

    @staticmethod
    def _ended(writes: int, again: float | None = None) -> Outcome:
        return Outcome("changed" if writes else "unchanged", again)

    async def _plan(self, key: Key, entry: Entry) -> tuple[Plan, Findings]:
        """The plan for the newest generation; made anew only where the spec, a Secret or a neighbour has changed."""
        agent, known = _agent(entry), entry.plan
        rests = self.rests(key)
        if known is not None and known.generation == agent.generation and known.rests == rests:
            secrets = await self.secrets.look(key, known.secrets)
            outlook = await self.neighbours.look(key, known.wanted)
            if secrets.fingerprint == known.secrets_hash and outlook == known.outlook:
                return known, secrets
        parsed = AgentDeployment.parse(json.loads(agent.body))
        mounted = plan.mounted_secrets(parsed.spec)
        uses = plan.secret_uses(parsed.spec, mounted)
        self.secrets.keep(key, uses)
        secrets = await self.secrets.look(key, uses)
        wanted = plan.wanted(parsed.spec, key.namespace)
        outlook = await self.neighbours.look(key, wanted)
        planned = (parsed, mounted, uses, secrets.fingerprint, self.images)
        make = partial(plan.make, *planned, grantable=self.grantable, wanted=wanted, outlook=outlook, rests=rests)
        made = await asyncio.to_thread(make) if len(agent.body) > _LONG_SPEC else make()
        entry.plan = made
        if secrets.unreadable and (known is None or known.secrets != uses):
            names = ", ".join(secrets.unreadable)
            await self.events.tell(
                key,
                agent.uid,
                "SecretNotReadable",
                f"The operator may not read {names}: a rotation will not roll the pods. "
                f"Add the namespace {key.namespace} to the chart's secrets.namespaces.",
            )
        if outlook.loop and (known is None or known.outlook.loop != outlook.loop):
            await self.events.tell(key, agent.uid, "EventsLoop", assess.events_loop(outlook.loop))
        return made, secrets

    async def _verdict(
        self, key: Key, entry: Entry, made: Plan, secrets: Findings, standing: Standing | None
    ) -> tuple[Verdict, float | None]:
        if made.rests:
            return _resting(made.rests), None
        if made.refused:
            return Verdict.problem(c.PERMISSIONS_NOT_GRANTED, made.refused), None
        if secrets.missing or secrets.incomplete:
            return assess.missing(secrets, key.namespace), None
        newest = {name: pod for name, pod in entry.pods.items() if pod.config == made.config_hash}
        unready = await self.prober.reasons(newest, self._proof(key, made, standing))
        waiting = any(pod.running and not pod.ready and not pod.deleting for pod in newest.values())
        known = (entry.deployment, entry.pods)
        verdict = assess.observed(*known, config=made.config_hash, unready=unready, least=made.least)
        if waiting and not unready and verdict.reason == c.ROLLING_OUT:
            verdict = assess.still_unavailable(_agent(entry).status.get("conditions") or ()) or verdict
        if secrets.unreadable:
            verdict = assess.with_unread_secrets(verdict, secrets.unreadable)
        return verdict, _UNREADY_SECONDS if waiting else None

    def _proof(self, key: Key, made: Plan, standing: Standing | None) -> Proof | None:
        if standing is None:
            return None
        wanted = certificate.wanted(key, made.tls).subject
        return Proof(wanted.hosts[-1], wanted.uri, self.certificates.trusted(key) + standing.authority)

    async def _tell(
        self, key: Key, entry: Entry, made: Plan | None, verdict: Verdict, aspects: tuple[Aspect, ...] = ()
    ) -> int:
        """Write the status if anything in it differs, and an Event if the reason is new.

        An aspect that is not given stays as it was told before.

        Returns:
            The number of status writes: 0 or 1.
        """
        agent = entry.agent
        if agent is None:  # it was deleted during this pass
            return 0
        before = agent.status
        now = times.written(datetime.now(UTC))
        changed = status.patch(before, status.wanted(entry, made, verdict, now, aspects))
        if not changed:
            return 0
        with self.cache.echoes.writing():
            answer = await self.kube.patch_status(AGENTS, key.namespace, key.name, changed)
            self.cache.record_status(key, answer)
        was = c.reason(before.get("conditions") or ())
        if verdict.reason != was:
            _log.info(
                verdict.message,
                generation=agent.generation,
                reason=verdict.reason,
                before=was,
            )
            if verdict.reason not in c.QUIET_REASONS:
                await self.events.tell(key, agent.uid, verdict.reason, verdict.message)
        for aspect in c.news(aspects, before.get("conditions") or ()):
            if aspect.message == verdict.message:
                continue
            await self.events.tell(key, agent.uid, aspect.reason, aspect.message)
        return 1


def _agent(entry: Entry) -> AgentRecord:
    if entry.agent is None:
        raise NotFound("The agent was deleted during the pass")
    return entry.agent


def _due(key: Key, entry: Entry, made: Plan) -> Iterator[Manifest]:
    """What is to be applied now: a Service that is there leads to the activator when that is ready, and not before."""
    ready = entry.activator is not None and entry.activator.available
    there = entry.children.get((SERVICES.kind, key.name))
    for each in made.manifests:
        early = not ready and there is not None and there.applied != each.digest
        is_service = (each.resource, each.name) == (SERVICES, key.name)
        yield made.direct if early and is_service and made.direct is not None else each


def _has_certificate(entry: Entry) -> bool:
    """Whether a certificate of the agent has been told of."""
    return any(each["type"] == c.CERTIFICATE_READY for each in _told(entry))


def _told(entry: Entry) -> list[dict[str, Any]]:
    """The conditions that were told last."""
    return _agent(entry).status.get("conditions") or []


def _sooner(again: float | None, standing: Standing | None, look: float | None = None) -> float | None:
    times = (again, standing.again if standing is not None else None, look)
    return min((time for time in times if time is not None), default=None)


def _resting(restore: str) -> Verdict:
    told = f"Restore {restore} is at work on the agent's database: there are no pods until it has ended."
    return Verdict("False", c.PAUSED, told, "Reconciling")


def _suspended(entry: Entry) -> Verdict:
    """As Flux does: how the agent was stays written, and nothing is done."""
    ready = c.truth(_agent(entry).status.get("conditions") or ())
    return Verdict(ready, c.SUSPENDED, "spec.suspend is true: nothing is changed until it is false.")
