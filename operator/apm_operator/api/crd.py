"""The CustomResourceDefinition of AgentDeployment."""

from __future__ import annotations

from typing import Any

from apm_operator.api import group
from apm_operator.api.agentdeployment import AgentDeploymentSpec
from apm_operator.api.rules import NAME_RULE
from apm_operator.api.status import AgentDeploymentStatus
from apm_operator.api.structural import structural, validations

NAME = f"{group.PLURAL}.{group.GROUP}"
_READY = '.status.conditions[?(@.type=="Ready")]'
_TOP_LEVEL = {
    "apiVersion": "Version of the schema, `apm.valeo-neuroerp.com/v1alpha1`.",
    "kind": "Kind of the object, `AgentDeployment`.",
}


def agentdeployment_crd() -> dict[str, Any]:
    """The CRD as the API server takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": group.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": group.KIND,
                "listKind": f"{group.KIND}List",
                "plural": group.PLURAL,
                "singular": group.SINGULAR,
                "shortNames": list(group.SHORT_NAMES),
                "categories": [group.CATEGORY],
            },
            "versions": [
                {
                    "name": group.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _schema()},
                }
            ],
        },
    }


def _schema() -> dict[str, Any]:
    return {
        "description": "One AI agent: what it does, and how it runs on the cluster.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            **{name: {"description": text, "type": "string"} for name, text in _TOP_LEVEL.items()},
            "metadata": {"type": "object"},
            "spec": structural(AgentDeploymentSpec),
            "status": structural(AgentDeploymentStatus),
        },
        "x-kubernetes-validations": validations([NAME_RULE]),
    }


def _columns() -> list[dict[str, Any]]:
    return [
        {
            "name": "Ready",
            "type": "string",
            "description": "Whether the agent answers.",
            "jsonPath": f"{_READY}.status",
        },
        {"name": "Reason", "type": "string", "description": "Why.", "jsonPath": f"{_READY}.reason"},
        {
            "name": "Replicas",
            "type": "integer",
            "description": "Pods that answer requests.",
            "jsonPath": ".status.readyReplicas",
        },
        {
            "name": "Model",
            "type": "string",
            "description": "Language model of the agent.",
            "jsonPath": ".status.model",
        },
        {
            "name": "Age",
            "type": "date",
            "description": "Time since it was made.",
            "jsonPath": ".metadata.creationTimestamp",
        },
        {
            "name": "Message",
            "type": "string",
            "description": "Why, and what to do.",
            "jsonPath": f"{_READY}.message",
            "priority": 1,
        },
    ]
