"""CPU, memory and disk of pods: none is without limits."""

from __future__ import annotations

from typing import Any

from apm_operator.api.pods import DEFAULT_RESOURCES, Resources
from apm_operator.api.quantity import amount


def complete(asked: Resources, default: Resources = DEFAULT_RESOURCES) -> dict[str, Any]:
    """What is asked for, with the default's limits where it says none.

    A request that is above the default's limit is the limit as well. A request that is left out beside a limit stays
    so: Kubernetes takes the limit for it.
    """
    requests, limits = dict(asked.requests), dict(asked.limits)
    for name, limit in default.limits.items():
        if name in limits:
            continue
        request = requests.setdefault(name, default.requests[name])
        limits[name] = max(limit, request, key=amount)
    return {"requests": requests, "limits": limits}
