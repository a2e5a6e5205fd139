"""The CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apm_operator.api import group
from apm_operator.api.agentdeployment import AgentDeploymentSpec
from apm_operator.api.agentreport import AgentReportSpec, AgentReportStatus
from apm_operator.api.backup import BackupSpec, BackupStatus
from apm_operator.api.backup_rules import name_rule
from apm_operator.api.backuppolicy import BackupPolicySpec, BackupPolicyStatus
from apm_operator.api.columns import AGENT, BACKUP, POLICY, REPORT, RESTORE, Column
from apm_operator.api.restore import RestoreSpec, RestoreStatus
from apm_operator.api.rules import NAME_RULE
from apm_operator.api.status import AgentDeploymentStatus
from apm_operator.api.structural import structural, validations

if TYPE_CHECKING:
    from pydantic import BaseModel

    from apm_operator.api.rule import Rule

_SCALE = {
    "scale": {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A custom resource.

    Attributes:
        description: of the kind, for `kubectl explain`.
        subresources: beside `status`.
        rules: over the whole object.
    """

    kind: str
    plural: str
    short_names: tuple[str, ...]
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    subresources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{group.GROUP}"


KINDS = (
    Kind(
        kind=group.KIND,
        plural=group.PLURAL,
        short_names=group.SHORT_NAMES,
        description="One AI agent: what it does, and how it runs on the cluster.",
        spec=AgentDeploymentSpec,
        status=AgentDeploymentStatus,
        columns=AGENT,
        rules=(NAME_RULE,),
        subresources=_SCALE,
    ),
    Kind(
        kind="BackupPolicy",
        plural="backuppolicies",
        short_names=("backuppolicy", "bpol"),
        description="Backups of a MongoDB: when, where to, for how long, and how they are proven.",
        spec=BackupPolicySpec,
        status=BackupPolicyStatus,
        columns=POLICY,
        rules=(name_rule(45, "CronJob"),),
    ),
    Kind(
        kind="Backup",
        plural="backups",
        short_names=(),
        description="One backup of a MongoDB.",
        spec=BackupSpec,
        status=BackupStatus,
        columns=BACKUP,
        rules=(name_rule(63, "Job"),),
    ),
    Kind(
        kind="Restore",
        plural="restores",
        short_names=(),
        description="A backup that is put back into a MongoDB.",
        spec=RestoreSpec,
        status=RestoreStatus,
        columns=RESTORE,
        rules=(name_rule(55, "Job"),),
    ),
    Kind(
        kind="AgentReport",
        plural="agentreports",
        short_names=("agentreport", "areport"),
        description="Reports on the agents of the namespace: when, about what time, and where they go.",
        spec=AgentReportSpec,
        status=AgentReportStatus,
        columns=REPORT,
        rules=(name_rule(45, "CronJob"),),
    ),
)


def crd(kind: Kind) -> dict[str, Any]:
    """The CRD as the API server takes it."""
    names = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "shortNames": [name for name in kind.short_names if name != kind.kind.lower()],
        "categories": [group.CATEGORY],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.name},
        "spec": {
            "group": group.GROUP,
            "scope": "Namespaced",
            "names": {name: value for name, value in names.items() if value},
            "versions": [
                {
                    "name": group.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, **kind.subresources},
                    "additionalPrinterColumns": [column.printed() for column in kind.columns],
                    "schema": {"openAPIV3Schema": _schema(kind)},
                }
            ],
        },
    }


def _schema(kind: Kind) -> dict[str, Any]:
    top = {
        "apiVersion": f"Version of the schema, `{group.API_VERSION}`.",
        "kind": f"Kind of the object, `{kind.kind}`.",
    }
    return {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            **{name: {"description": text, "type": "string"} for name, text in top.items()},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": structural(kind.status),
        },
        "x-kubernetes-validations": validations(kind.rules),
    }
