"""What the Jobs of a policy or a Restore depend on, and what all their objects have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apm_operator.kinds import (
    BACKUP_POLICIES,
    BY_KIND,
    FIELD_MANAGER,
    JOB_LABEL,
    LEASES,
    MANAGED_BY_LABEL,
    POLICY_LABEL,
    RESTORE_LABEL,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from apm_operator.network import ClusterNetwork

if TYPE_CHECKING:
    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.api.backupjob import JobNetwork, JobTemplate
    from apm_operator.manifests.networkpolicy import Target
    from apm_operator.queue import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The Jobs of one policy or Restore.

    Attributes:
        owner: the policy or Restore; `uid` its.
        claim: volume that holds the backups; "" where it is no volume.
        mounted: the Secret keys that the Jobs read as files.
        leases: names of the Leases that they hold.
        targets: where they connect to.
        api_server: blocks of addresses and ports of the API server.
    """

    owner: Key
    uid: str
    template: JobTemplate
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
        return f"{self.owner.name}-{'backup' if self.owner.kind == BACKUP_POLICIES.kind else 'restore'}"

    @property
    def selector(self) -> dict[str, str]:
        """Labels that only these Jobs' pods have."""
        return {POLICY_LABEL if self.owner.kind == BACKUP_POLICIES.kind else RESTORE_LABEL: self.owner.name}

    def labels(self, command: str = "") -> dict[str, str]:
        """Labels of all objects; of a Job and its pods those with its command."""
        return {
            "app.kubernetes.io/name": "backup",
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
        "blockOwnerDeletion": True,
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
