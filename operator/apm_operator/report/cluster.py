"""What the objects of a namespace tell of its agents and backups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apm_operator import conditions as c
from apm_operator.audit.report import report as review
from apm_operator.audit.world import AgentWorld, Surroundings
from apm_operator.report.figures import Agent, Measured, Numbers, Policy, Report, Restore, Span, State

Body = Mapping[str, Any]
_HIDDEN = frozenset({"Secret", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "Namespace"})
"""Kinds that the Job may not read."""
UNSEEN = ("ClusterRoleBindings", "the namespace's own labels")
"""Those of them that deviations could show in; of certificates the agents' conditions tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of one namespace, as the API server gives them."""

    agents: tuple[Body, ...] = ()
    policies: tuple[Body, ...] = ()
    backups: tuple[Body, ...] = ()
    restores: tuple[Body, ...] = ()
    network_policies: tuple[Body, ...] = ()
    roles: tuple[Body, ...] = ()
    role_bindings: tuple[Body, ...] = ()


def summed(namespace: str, name: str, span: Span, objects: Objects, measured: Measured) -> Report:
    """The report of a namespace."""
    there = {str(body["metadata"]["name"]) for body in objects.agents}
    gone = (
        Agent(name=each, numbers=numbers, ready=State(), gone=True)
        for each, numbers in sorted(measured.agents.items())
        if each not in there and numbers.runs is not None and numbers.runs.total
    )
    around = Surroundings(None, objects.network_policies, objects.role_bindings, objects.roles, _HIDDEN)
    return Report(
        namespace=namespace,
        name=name,
        span=span,
        agents=(*(_agent(body, around, measured, span.end) for body in _by_name(objects.agents)), *gone),
        policies=tuple(_policy(body, objects.backups, span) for body in _by_name(objects.policies)),
        restores=tuple(_restores(objects.restores, span)),
        slices=measured.slices,
        slow=measured.slow,
        trouble=measured.trouble,
        unseen=UNSEEN,
    )


def _agent(body: Body, around: Surroundings, measured: Measured, now: datetime) -> Agent:
    name = str(body["metadata"]["name"])
    tls = ((body.get("spec") or {}).get("tls") or {}).get("mode") != "Disabled"
    found = review(AgentWorld(body, around, hidden=_HIDDEN), now.timestamp())
    return Agent(
        name=name,
        numbers=measured.agents.get(name, Numbers()),
        ready=_state(body, c.READY),
        anomalous=_state(body, c.ANOMALOUS),
        certificate=_state(body, c.CERTIFICATE_READY) if tls else None,
        deviations=found.deviations,
    )


def _policy(body: Body, backups: Iterable[Body], span: Span) -> Policy:
    name, status = str(body["metadata"]["name"]), body.get("status") or {}
    own = [
        each.get("status") or {}
        for each in backups
        if ((each.get("spec") or {}).get("policyRef") or {}).get("name") == name and _in(each, span)
    ]
    completed = [each for each in own if each.get("phase") == "Completed"]
    return Policy(
        name=name,
        ready=_state(body, c.READY),
        verified=_state(body, c.VERIFIED),
        completed=len(completed),
        failed=sum(each.get("phase") == "Failed" for each in own),
        proven=sum(each.get("verified") == "True" for each in completed),
        missed=int((status.get("missed") or {}).get("count") or 0),
        last=_time(status.get("lastSuccessTime")),
        last_proven=_time(status.get("lastVerifiedTime")),
        size=status.get("size"),
    )


def _restores(bodies: Iterable[Body], span: Span) -> Iterable[Restore]:
    for body in _by_name(bodies):
        if _in(body, span):
            status = body.get("status") or {}
            yield Restore(body["metadata"]["name"], status.get("phase") or "Pending", _time(status.get("finished")))


def _in(body: Body, span: Span) -> bool:
    """Whether it ended in the span; while it goes on, whether it was made in it."""
    when = _time((body.get("status") or {}).get("finished")) or _time(body["metadata"].get("creationTimestamp"))
    return when is not None and span.start <= when < span.end


def _by_name(bodies: Iterable[Body]) -> list[Body]:
    return sorted(bodies, key=lambda body: str(body["metadata"]["name"]))


def _state(body: Body, kind: str) -> State:
    conditions = (body.get("status") or {}).get("conditions") or ()
    found = next((each for each in conditions if each.get("type") == kind), None)
    if found is None:
        return State()
    return State(found["status"], str(found.get("reason") or ""), str(found.get("message") or ""))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
