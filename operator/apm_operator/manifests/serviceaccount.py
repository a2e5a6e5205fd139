from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import SERVICE_ACCOUNTS

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def build(agent: Agent) -> dict[str, Any]:
    """The pods' identity; no token of it is mounted."""
    return agent.manifest(SERVICE_ACCOUNTS, agent.name, automountServiceAccountToken=False)
