"""What an audit says of one agent, and of all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apm_operator import times
from apm_operator.audit import reach
from apm_operator.audit.accepted import accepted
from apm_operator.audit.baseline import CHECKS, Certificate, Subject
from apm_operator.audit.reach import Way
from apm_operator.audit.rights import Right, rights
from apm_operator.audit.secrets import uses
from apm_operator.audit.world import AgentWorld
from apm_operator.kinds import AGENT_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL
from apm_operator.pki import certificates

VERSION = "apm.valeo-neuroerp.com/audit/v1"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One way in which an agent does not meet the baseline; `accepted` is the reason that somebody gave, or ""."""

    id: str
    message: str
    accepted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """One agent.

    Attributes:
        certificate: None with TLS off, or where none was found.
        hidden: kinds that could not be read, so that the report is not whole.
    """

    namespace: str
    name: str
    reaches: tuple[Way, ...]
    reached_by: tuple[Way, ...]
    rights: tuple[Right, ...]
    secrets: dict[str, tuple[str, ...]]
    certificate: Certificate | None
    callers: tuple[str, ...]
    deviations: tuple[Deviation, ...]
    hidden: tuple[str, ...] = ()

    @property
    def open(self) -> int:
        """Number of deviations that nobody has accepted."""
        return sum(not deviation.accepted for deviation in self.deviations)


def report(world: AgentWorld, now: float) -> AgentReport:
    """The report of one agent, at a time in seconds since 1970."""
    metadata, spec = world.agent["metadata"], world.agent.get("spec") or {}
    policies = tuple(policy for policy in world.around.policies if _selected(policy, world))
    subject = Subject(world, policies, rights(world.agent, world.around), _certificate(world), now)
    reasons = accepted(metadata.get("annotations") or {})
    return AgentReport(
        namespace=metadata["namespace"],
        name=metadata["name"],
        reaches=reach.ways(policies, "egress"),
        reached_by=reach.ways(policies, "ingress"),
        rights=subject.rights,
        secrets=uses(spec),
        certificate=subject.certificate,
        callers=tuple(_callers(world)),
        deviations=tuple(
            Deviation(check.id, message, reasons.get(check.id, ""))
            for check in CHECKS
            for message in check.find(subject)
        ),
        hidden=tuple(sorted(world.hidden)),
    )


def as_json(reports: Iterable[AgentReport], now: float) -> dict[str, Any]:
    """All reports as plain data; docs/security.md describes the fields."""
    found = tuple(reports)
    return {
        "version": VERSION,
        "checkedAt": when(now),
        "deviations": sum(each.open for each in found),
        "accepted": sum(len(each.deviations) - each.open for each in found),
        "agents": [_plain(each) for each in found],
    }


def when(seconds: float) -> str:
    """A time as text (RFC 3339)."""
    return times.written(datetime.fromtimestamp(seconds, UTC))


def _plain(each: AgentReport) -> dict[str, Any]:
    return {
        "namespace": each.namespace,
        "name": each.name,
        "reaches": [{"peer": way.peer, "ports": list(way.ports)} for way in each.reaches],
        "reachedBy": [{"peer": way.peer, "ports": list(way.ports)} for way in each.reached_by],
        "rights": [
            {
                "binding": right.binding,
                "apiGroups": list(right.groups),
                "resources": list(right.resources),
                "resourceNames": list(right.names),
                "verbs": list(right.verbs),
            }
            for right in each.rights
        ],
        "secrets": [{"name": name, "keys": list(keys)} for name, keys in each.secrets.items()],
        "certificate": {"expires": when(each.certificate.ends)} if each.certificate else None,
        "callers": list(each.callers),
        "deviations": [
            {"id": one.id, "message": one.message, "accepted": one.accepted or None} for one in each.deviations
        ],
        "notReadable": list(each.hidden),
    }


def _selected(policy: Any, world: AgentWorld) -> bool:
    metadata, spec = world.agent["metadata"], world.agent.get("spec") or {}
    own = ((spec.get("podTemplate") or {}).get("metadata") or {}).get("labels") or {}
    labels = {
        **own,
        "app.kubernetes.io/name": "agent",
        "app.kubernetes.io/instance": metadata["name"],
        "app.kubernetes.io/part-of": "apm",
        MANAGED_BY_LABEL: FIELD_MANAGER,
        AGENT_LABEL: metadata["name"],
    }
    return reach.selects(policy["spec"].get("podSelector") or {}, labels)


def _certificate(world: AgentWorld) -> Certificate | None:
    if not world.certificate:
        return None
    try:
        leaf = certificates.read(world.certificate)
    except ValueError:
        return None
    return Certificate(leaf.subject.uri, leaf.made, leaf.ends)


def _callers(world: AgentWorld) -> Iterator[str]:
    spec = world.agent.get("spec") or {}
    auth = spec.get("auth") or {}
    try:
        agents = json.loads(world.callers or "{}").get("agents", [])
    except (ValueError, AttributeError):
        agents = []
    yield from (f"agent {name}" for name in agents)
    if keys := ((auth.get("apiKeys") or {}).get("secretRef") or {}).get("name"):
        yield f"keys of Secret {keys}"
    yield from (f"tokens of {issuer.get('issuer')}" for issuer in auth.get("jwt") or ())
    yield from (f"ServiceAccount {name}" for name in (auth.get("serviceAccounts") or {}).get("allow") or ())
    if auth.get("anonymous"):
        yield "anybody"
