"""How many pods an agent is to have, and has."""

from typing import Any

from e2e.support.space import Space


def replicas(space: Space, agent: str) -> int:
    """How many its Deployment is told to have."""
    return int(space.get("deployment", agent)["spec"]["replicas"])


def ready(space: Space, agent: str) -> int:
    """How many its status says are ready."""
    return int(space.get("agentdeployment", agent).get("status", {}).get("readyReplicas", 0))


def condition(space: Space, agent: str, kind: str) -> dict[str, Any]:
    """A condition of its status; {} where it has none of this type."""
    conditions = space.get("agentdeployment", agent).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})
