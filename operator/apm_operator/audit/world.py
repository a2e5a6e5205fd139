"""Reads what an audit looks at. Nothing is written, and of Secrets only the agents' certificates are read."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apm_operator.errors import Forbidden, NotFound
from apm_operator.kinds import AGENTS, CONFIG_MAPS, NETWORK_POLICIES, ROLE_BINDINGS, ROLES, SECRETS, Resource
from apm_operator.kube import Kube

NAMESPACES = Resource("", "v1", "namespaces", "Namespace")
POLICIES = NETWORK_POLICIES
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole")
CLUSTER_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding")

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One namespace, and what lies around its agents.

    Attributes:
        hidden: kinds that the user has no right to read.
    """

    namespace: Body | None = None
    policies: tuple[Body, ...] = ()
    bindings: tuple[Body, ...] = ()
    roles: tuple[Body, ...] = ()
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AgentWorld:
    """One agent with everything that decides what it can do.

    Attributes:
        certificate: the PEM text of its certificate.
        callers: the content of `callers.json` in its ConfigMap NAME-trust.
    """

    agent: Body
    around: Surroundings
    certificate: bytes | None = None
    callers: str | None = None
    hidden: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Reader:
    kube: Kube
    hidden: set[str] = field(default_factory=set)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body | None:
        try:
            return await self.kube.get(resource, namespace, name)
        except NotFound:
            return None
        except Forbidden:
            self.hidden.add(resource.kind)
            return None

    async def all(self, resource: Resource, namespace: str | None) -> tuple[Body, ...]:
        try:
            return tuple([item async for page in self.kube.pages(resource, namespace) for item in page])
        except Forbidden:
            self.hidden.add(resource.kind)
            return ()


async def agents(kube: Kube, namespace: str | None) -> list[Body]:
    """The agents of a namespace, or of all (None), by namespace and name."""
    found = [item async for page in kube.pages(AGENTS, namespace) for item in page]
    return sorted(found, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))


async def read(kube: Kube, found: Iterable[Body]) -> list[AgentWorld]:
    """Everything that matters for these agents."""
    reader = _Reader(kube)
    cluster_bindings = await reader.all(CLUSTER_ROLE_BINDINGS, None)
    cluster_roles = await reader.all(CLUSTER_ROLES, None)
    known: dict[str, Surroundings] = {}
    worlds = []
    for agent in found:
        namespace = agent["metadata"]["namespace"]
        if namespace not in known:
            known[namespace] = await _surroundings(kube, namespace, cluster_bindings, cluster_roles, reader.hidden)
        worlds.append(await _agent(kube, agent, known[namespace]))
    return worlds


async def _surroundings(
    kube: Kube, namespace: str, bindings: tuple[Body, ...], roles: tuple[Body, ...], hidden: set[str]
) -> Surroundings:
    reader = _Reader(kube, set(hidden))
    own = await reader.get(NAMESPACES, None, namespace)
    policies = await reader.all(POLICIES, namespace)
    own_bindings = await reader.all(ROLE_BINDINGS, namespace)
    own_roles = await reader.all(ROLES, namespace)
    return Surroundings(own, policies, (*own_bindings, *bindings), (*own_roles, *roles), frozenset(reader.hidden))


async def _agent(kube: Kube, agent: Body, around: Surroundings) -> AgentWorld:
    reader = _Reader(kube)
    namespace, name = agent["metadata"]["namespace"], agent["metadata"]["name"]
    secret = await reader.get(SECRETS, namespace, f"{name}-tls")
    trust = await reader.get(CONFIG_MAPS, namespace, f"{name}-trust")
    certificate = ((secret or {}).get("data") or {}).get("tls.crt")
    callers = ((trust or {}).get("data") or {}).get("callers.json")
    return AgentWorld(
        agent,
        around,
        base64.b64decode(certificate) if certificate else None,
        callers,
        frozenset(reader.hidden) | around.hidden,
    )
