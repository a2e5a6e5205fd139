"""AgentDeployments that the operator's unit tests share."""

from __future__ import annotations

from typing import Any

from apm_operator.api.agentdeployment import AgentDeployment
from apm_operator.api.permissions import Permission
from apm_operator.kinds import AGENTS
from apm_operator.reconcile.plan import Images, Plan, make, mounted_secrets, secret_uses, wanted
from apm_operator.reconcile.surroundings import Outlook

IMAGES = Images("registry.example/agent:1", "IfNotPresent", "registry.example/operator:1", "IfNotPresent")
GRANTABLE = (
    Permission(api_groups=("",), resources=("configmaps",), verbs=("get", "list")),
    Permission(api_groups=("",), resources=("secrets",), resource_names=("llm",), verbs=("get",)),
)
NOWHERE = Outlook()
WORKFLOW = {
    "start": "answer",
    "nodes": [{"name": "answer", "uses": "model", "with": {"prompt": "Hello."}, "next": "end"}],
}
PLAIN = {"tls": {"mode": "Disabled"}, "auth": {"anonymous": True}}
SCRIPTED = {"name": "default", "provider": "scripted", "script": [{"reply": "Hello"}]}


def body(name: str = "one", generation: int = 1, version: str = "1", **spec: Any) -> dict[str, Any]:
    """An AgentDeployment as the API server gives it."""
    return {
        "apiVersion": AGENTS.api_version,
        "kind": AGENTS.kind,
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "generation": generation,
            "resourceVersion": version,
        },
        "spec": {"models": [SCRIPTED], "workflow": WORKFLOW, **PLAIN} | spec,
    }


def plan(secrets_hash: str = "", outlook: Outlook = NOWHERE, **spec: Any) -> Plan:
    """The plan for such an agent."""
    agent = AgentDeployment.parse(body(**spec))
    mounted = mounted_secrets(agent.spec)
    uses = secret_uses(agent.spec, mounted)
    known = {"wanted": wanted(agent.spec, "shop"), "outlook": outlook, "grantable": GRANTABLE}
    return make(agent, mounted, uses, secrets_hash, IMAGES, **known)
