from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from apm_operator.kinds import CONFIG_MAPS

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def name(agent: str) -> str:
    """The name of an agent's ConfigMap of whom it trusts."""
    return f"{agent}-trust"


def build(agent: Agent) -> dict[str, Any] | None:
    """Whom the agent's pods trust and let in; they take a change up as they run, so it is no new version of them."""
    if not agent.spec.tls.enabled:
        return None
    callers = [f"{namespace}/{caller}" for namespace, caller in sorted(agent.surroundings.callers)]
    return agent.manifest(
        CONFIG_MAPS,
        name(agent.name),
        data={"ca.crt": agent.surroundings.authorities, "callers.json": json.dumps({"agents": callers})},
    )
