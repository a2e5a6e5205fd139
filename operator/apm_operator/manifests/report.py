"""What the Jobs of a report may do in the Kubernetes API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import (
    AGENTS,
    BACKUP_POLICIES,
    BACKUPS,
    GROUP,
    NETWORK_POLICIES,
    RESTORES,
    ROLE_BINDINGS,
    ROLES,
)

if TYPE_CHECKING:
    from apm_operator.manifests.backup import Work

_READ = (
    (GROUP, (AGENTS, BACKUP_POLICIES, BACKUPS, RESTORES)),
    (NETWORK_POLICIES.group, (NETWORK_POLICIES,)),
    (ROLES.group, (ROLES, ROLE_BINDINGS)),
)


def role(work: Work) -> dict[str, Any]:
    """They may list what the report tells of, in their own namespace: no Secrets and no ConfigMaps."""
    rules = [
        {"apiGroups": [group], "resources": [each.plural for each in resources], "verbs": ["list"]}
        for group, resources in _READ
    ]
    return work.manifest(ROLES, work.name, rules=rules)
