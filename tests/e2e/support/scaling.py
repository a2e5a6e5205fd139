"""How many pods an agent is to have, and has."""

import time
from typing import Any

from e2e.support.space import Space
from e2e.support.waiting import until


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


def until_asleep(space: Space, agent: str) -> float:
    """Wait until it has no pods; the seconds that it took."""
    began = time.monotonic()
    until("no pods are wanted", lambda: replicas(space, agent), lambda number: number == 0, seconds=120)
    space.until_gone("pods", agent, seconds=90)
    return time.monotonic() - began
