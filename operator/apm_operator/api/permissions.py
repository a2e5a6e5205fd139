"""What an agent may do in the Kubernetes API, and what no agent may.

Kubernetes' own kinds, and ours, are allowed one by one: a new one is refused until somebody has thought about it. Kinds
of other API groups can't be judged here; what of them may be granted says the operator's administrator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from agent_runtime.spec.base import SpecModel
from apm_operator.api.group import GROUP

# `*` is taken here so that a rule can refuse it in words.
ApiGroup = Annotated[str, StringConstraints(pattern=r"^([a-z0-9*]([-a-z0-9.]*[a-z0-9])?)?$", max_length=128)]
ResourceKind = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9*]([-a-z0-9]*[a-z0-9])?(/[a-z0-9*]+)?$", max_length=96)
]
# Never empty: an empty name matches requests that have none, lists and creations among them.
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete"]

READABLE = (
    "/configmaps", "/endpoints", "/events", "/limitranges", "/persistentvolumeclaims", "/pods", "/pods/log",
    "/pods/status", "/replicationcontrollers", "/resourcequotas", "/secrets", "/serviceaccounts", "/services",
    "apps/daemonsets", "apps/daemonsets/status", "apps/deployments", "apps/deployments/scale",
    "apps/deployments/status", "apps/replicasets", "apps/replicasets/status", "apps/statefulsets",
    "apps/statefulsets/scale", "apps/statefulsets/status",
    "autoscaling/horizontalpodautoscalers",
    "batch/cronjobs", "batch/jobs", "batch/jobs/status",
    "coordination.k8s.io/leases", "discovery.k8s.io/endpointslices", "events.k8s.io/events", "metrics.k8s.io/pods",
    "networking.k8s.io/ingresses", "networking.k8s.io/networkpolicies",
    "policy/poddisruptionbudgets",
    f"{GROUP}/agentdeployments", f"{GROUP}/agentdeployments/status", f"{GROUP}/agentdeployments/scale",
    f"{GROUP}/backuppolicies", f"{GROUP}/backuppolicies/status", f"{GROUP}/backups", f"{GROUP}/backups/status",
    f"{GROUP}/restores", f"{GROUP}/restores/status",
)  # fmt: skip
"""`group/resource` that agents may be allowed to read: all lie in a namespace, none is a way to more rights."""
WRITABLE = ("/configmaps", "/events", "coordination.k8s.io/leases", "events.k8s.io/events")
"""Those of them that agents may be allowed to write: none runs pods, mounts a Secret or turns traffic."""
SUBRESOURCES = ("log", "scale", "status")

_READS = ("get", "list", "watch")
_CHANGES = ("update", "patch", "delete")
_CLOSED_CEL = f"(!g.contains('.') || g.endsWith('.k8s.io') || g.endsWith('.openshift.io') || g == '{GROUP}')"


class Permission(SpecModel):
    """One rule of the agent's Role, as in Kubernetes' rbac.authorization.k8s.io/v1."""

    api_groups: tuple[ApiGroup, ...] = Field(
        min_length=1, max_length=4, description='API groups of the resources; `""` is the core group.'
    )
    resources: tuple[ResourceKind, ...] = Field(
        min_length=1, max_length=16, description="Resources in the plural, such as `configmaps` or `pods/log`."
    )
    resource_names: tuple[ResourceName, ...] = Field(
        default=(), max_length=32, description="Names of the objects that are meant; all where it is empty."
    )
    verbs: tuple[Verb, ...] = Field(min_length=1, max_length=7, description="What may be done with them.")

    @model_validator(mode="after")
    def _within_limits(self) -> Permission:
        broken = [limit.message for limit in LIMITS if not limit.holds(self)]
        if broken:
            raise PydanticCustomError("permission", "; ".join(broken))
        return self


@dataclass(frozen=True, slots=True)
class Limit:
    """What every permission keeps to: once for the API server, in CEL, and once for what it does not check."""

    cel: str
    holds: Callable[[Permission], bool]
    message: str


def closed(group: str) -> bool:
    """Whether the kinds of an API group are allowed one by one."""
    return "." not in group or group.endswith((".k8s.io", ".openshift.io")) or group == GROUP


def _only(allowed: tuple[str, ...]) -> Callable[[Permission], bool]:
    return lambda p: all(f"{g}/{r}" in allowed for g, r in product(p.api_groups, p.resources) if closed(g))


def _only_cel(allowed: tuple[str, ...]) -> str:
    return f"self.apiGroups.all(g, !{_CLOSED_CEL} || self.resources.all(r, (g + '/' + r) in {list(allowed)!r}))"


_NO_WRITE_CEL = f"self.verbs.all(v, v in {list(_READS)!r})"
_NAMED_CEL = "(has(self.resourceNames) && size(self.resourceNames) > 0)"

LIMITS = (
    Limit(
        "!('*' in self.apiGroups) && !self.resources.exists(r, r.contains('*'))",
        lambda p: not any("*" in name for name in (*p.api_groups, *p.resources)),
        "`*` is refused: name each API group and resource that the agent needs",
    ),
    Limit(
        f"self.resources.all(r, !r.contains('/') || r.split('/')[1] in {list(SUBRESOURCES)!r})",
        lambda p: all("/" not in r or r.split("/")[1] in SUBRESOURCES for r in p.resources),
        "of subresources only `log`, `scale` and `status` can be granted: remove the others",
    ),
    Limit(
        _only_cel(READABLE),
        _only(READABLE),
        "no agent may be granted one of these resources: docs/rbac.md lists those of Kubernetes' own groups that can "
        "be; write one entry for each API group",
    ),
    Limit(
        f"{_NO_WRITE_CEL} || {_only_cel(WRITABLE)}",
        lambda p: set(p.verbs) <= set(_READS) or _only(WRITABLE)(p),
        "of Kubernetes' own resources agents may write only `configmaps`, `events` and `leases`: keep to `get`, `list` "
        "and `watch` for the others",
    ),
    Limit(
        f"!('' in self.apiGroups && 'secrets' in self.resources) || (self.verbs == ['get'] && {_NAMED_CEL})",
        lambda p: (
            not ("" in p.api_groups and "secrets" in p.resources) or (p.verbs == ("get",) and bool(p.resource_names))
        ),
        "`secrets` can be granted only with `verbs: [get]` and the names of the Secrets in `resourceNames`",
    ),
    Limit(
        f"{_NAMED_CEL} || !self.verbs.exists(v, v in {list(_CHANGES)!r}) || !self.apiGroups.exists(g, {_CLOSED_CEL})",
        lambda p: (
            bool(p.resource_names)
            or not set(p.verbs) & set(_CHANGES)
            or not any(closed(group) for group in p.api_groups)
        ),
        "`update`, `patch` and `delete` need `resourceNames`: name the objects that the agent may change",
    ),
    Limit(
        f"!('create' in self.verbs) || !{_NAMED_CEL}",
        lambda p: "create" not in p.verbs or not p.resource_names,
        "Kubernetes can't confine `create` to names: give it an entry of its own without `resourceNames`",
    ),
)
"""What every permission keeps to."""
