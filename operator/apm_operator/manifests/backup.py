"""What the Jobs of a policy, a Restore or a report depend on, and what all their objects have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apm_operator.kinds import (
    AGENT_REPORTS,
    BACKUP_POLICIES,
    BY_KIND,
    FIELD_MANAGER,
    JOB_LABEL,
    LEASES,
    MANAGED_BY_LABEL,
    OWNER_LABELS,
    RESTORES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from apm_operator.network import ClusterNetwork

if TYPE_CHECKING:
    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.api.backupjob import JobNetwork, JobPods
    from apm_operator.manifests.networkpolicy import Target
    from apm_operator.queue import Key


_SUFFIXES = {BACKUP_POLICIES.kind: "-backup", RESTORES.kind: "-restore", AGENT_REPORTS.kind: "-report"}
_LABELS = {kind: label for label, kind in OWNER_LABELS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The Jobs of one policy, Restore or report, or the one Job of a removal.

    Attributes:
        owner: the policy, Restore or report, or the removal's Job; `uid` its.
        subject: what is removed; None where nothing is.
        claim: volume that holds the backups; "" where it is no volume.
        mounted: the Secret keys that the Jobs read as files.
        leases: names of the Leases that they hold.
        targets: where they connect to.
        api_server: blocks of addresses and ports of the API server.
    """

    owner: Key
    uid: str
    subject: Key | None = None
    template: JobPods
    network: JobNetwork
    image: str
    pull_policy: str
    claim: str = ""
    mounted: tuple[SecretKeyRef, ...] = ()
    leases: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    api_server: tuple[tuple[str, int], ...] = ()
    cluster: ClusterNetwork = field(default_factory=ClusterNetwork)

    @property
    def namespace(self) -> str:
        """Where they run."""
        return self.owner.namespace

    @property
    def name(self) -> str:
        """Name of what the Jobs need: an agent of the owner's name has its own objects."""
        return self.owner.name + _SUFFIXES.get(self.owner.kind, "")

    @property
    def program(self) -> str:
        """The module of `apm_operator` that the Jobs run, and the name of their container."""
        return "report" if self.owner.kind == AGENT_REPORTS.kind else "backup"

    @property
    def selector(self) -> dict[str, str]:
        """Labels that only these Jobs' pods have."""
        if self.subject is not None:
            return {_LABELS[self.subject.kind]: self.subject.name, JOB_LABEL: "remove"}
        return {_LABELS[self.owner.kind]: self.owner.name}

    def labels(self, command: str = "") -> dict[str, str]:
        """Labels of all objects; of a Job and its pods those with its command."""
        return {
            "app.kubernetes.io/name": self.program,
            MANAGED_BY_LABEL: FIELD_MANAGER,
            "app.kubernetes.io/part-of": "apm",
            **self.selector,
            **({JOB_LABEL: command} if command else {}),
        }

    def manifest(
        self, resource: Resource, name: str, *, command: str = "", owner: dict[str, Any] | None = None, **content: Any
    ) -> dict[str, Any]:
        """An object that belongs to the owner: `content` with type, name, labels and owner."""
        metadata = {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels(command),
            "ownerReferences": [owner or controller(self.owner, self.uid)],
        }
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}


def controller(owner: Key, uid: str) -> dict[str, Any]:
    """The ownerReference of what belongs to an object and goes with it."""
    return {
        "apiVersion": BY_KIND[owner.kind].api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": uid,
        "controller": True,
        # Needs a right to the owner's finalizers where that is enforced, which the operator has for its own kinds.
        **({"blockOwnerDeletion": True} if owner.kind in _LABELS else {}),
    }


def service_account(work: Work) -> dict[str, Any]:
    """The Jobs' identity."""
    return work.manifest(SERVICE_ACCOUNTS, work.name, automountServiceAccountToken=False)


def role(work: Work) -> dict[str, Any]:
    """The Jobs may hold their Leases, and nothing else."""
    rule = {
        "apiGroups": [LEASES.group],
        "resources": [LEASES.plural],
        "resourceNames": sorted(work.leases),
        "verbs": ["get", "patch", "update"],
    }
    return work.manifest(ROLES, work.name, rules=[rule])


def role_binding(work: Work) -> dict[str, Any]:
    """Gives that Role to the Jobs."""
    return work.manifest(
        ROLE_BINDINGS,
        work.name,
        roleRef={"apiGroup": ROLES.group, "kind": ROLES.kind, "name": work.name},
        subjects=[{"kind": SERVICE_ACCOUNTS.kind, "name": work.name, "namespace": work.namespace}],
    )
