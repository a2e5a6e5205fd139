from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def build(agent: Agent) -> dict[str, Any] | None:
    """Gives the agent's Role to its pods."""
    if not agent.permissions:
        return None
    return agent.manifest(
        ROLE_BINDINGS,
        agent.name,
        roleRef={"apiGroup": ROLES.group, "kind": ROLES.kind, "name": agent.name},
        subjects=[{"kind": SERVICE_ACCOUNTS.kind, "name": agent.name, "namespace": agent.namespace}],
    )
