"""AgentDeployments of the tests; all of them answer from a script, so no model server is needed."""

from typing import Any

import yaml

from cluster.agents import CALLERS
from cluster.settings import REPOSITORY

API_VERSION = "apm.valeo-neuroerp.com/v1alpha1"
AGENT_LABEL = "apm.valeo-neuroerp.com/agent"
MONGODB_SECRET = "apm-mongodb"  # noqa: S105  a Secret's name

# Far below the default, so that a roll-out of many agents fits on a machine with two cores.
_RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
TRAFFIC = {"apm-e2e": "traffic"}
"""Labels of the tests' own clients in pods, which the agents let in."""
_WORKFLOW = {"start": "answer", "nodes": [{"name": "answer", "uses": "model"}]}


def agent(name: str, *, reply: str = "You said: {{ last }}", **spec: Any) -> dict[str, Any]:
    """An agent with one model node that says `reply`; `spec` adds fields, replaces them or, with None, removes them."""
    fields = {
        "models": [{"name": "default", "provider": "scripted", "script": [{"reply": reply}]}],
        "workflow": _WORKFLOW,
        "resources": _RESOURCES,
        "auth": {"apiKeys": {"secretRef": {"name": CALLERS}}},
        "network": {"ingressFrom": [{"podSelector": {"matchLabels": TRAFFIC}}]},
        **spec,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "AgentDeployment",
        "metadata": {"name": name},
        "spec": {field: value for field, value in fields.items() if value is not None},
    }


def mongodb(secret: str = MONGODB_SECRET) -> dict[str, Any]:
    """`spec.state` of an agent that keeps its conversations in the MongoDB that `secret` leads to."""
    return {"mongodb": {"uriSecretRef": {"name": secret, "key": "uri"}, "database": "apm"}}


def secret(name: str, **values: str) -> dict[str, Any]:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def example(name: str) -> dict[str, Any]:
    """An agent of `examples/`, for whatever namespace it is applied to."""
    manifest: dict[str, Any] = yaml.safe_load((REPOSITORY / "examples" / f"{name}.yaml").read_text())
    del manifest["metadata"]["namespace"]
    manifest["spec"]["resources"] = _RESOURCES
    return manifest
