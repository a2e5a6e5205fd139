"""What stands in for an agent that may sleep: a pod without rights and secrets, behind the agent's own Service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from apm_operator.activator.status import PATH, VALUE
from apm_operator.kinds import ACTIVATOR_LABEL, DEPLOYMENTS, NETWORK_POLICIES, REACHED_LABEL, SERVICES
from apm_operator.manifests.agent import digest
from apm_operator.manifests.networkpolicy import agents, blocks, ordered, peer, ports, written
from apm_operator.manifests.parts import container_security, pod_security, present, probe, wire

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent

_STATUS_PORT = 8081
_LONGEST_NAME = 63
_GRACE_SECONDS = 300
_PROGRESS_DEADLINE_SECONDS = 60
_RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "16Mi"},
    "limits": {"cpu": "1", "memory": "128Mi", "ephemeral-storage": "64Mi"},
}


def name(agent: str) -> str:
    """Name of the activator of an agent."""
    return _with(agent, "-activator")


def awake(agent: str) -> str:
    """Name of the Service behind which there are the agent's own pods alone."""
    return _with(agent, "-awake")


def _with(agent: str, suffix: str) -> str:
    """A name that is short enough for a Service."""
    if len(agent) + len(suffix) <= _LONGEST_NAME:
        return agent + suffix
    mark = digest(agent.encode())
    return f"{agent[: _LONGEST_NAME - len(suffix) - len(mark) - 1]}-{mark}{suffix}"


def trigger_metadata(agent: Agent) -> dict[str, str]:
    """Where KEDA finds how many want the agent awake."""
    url = f"http://{name(agent.name)}.{agent.namespace}.svc:{_STATUS_PORT}{PATH}"
    return {"url": url, "valueLocation": VALUE}


def awake_service(agent: Agent) -> dict[str, Any] | None:
    """What the activator connects to. It refuses connections as long as no pod of the agent is ready."""
    if not agent.sleeps:
        return None
    port = {"name": agent.scheme, "port": agent.port, "protocol": "TCP", "targetPort": agent.scheme}
    spec = {"type": "ClusterIP", "selector": agent.selector, "ports": [port]}
    return agent.manifest(SERVICES, awake(agent.name), spec=spec)


def status_service(agent: Agent) -> dict[str, Any] | None:
    """What KEDA asks."""
    if not agent.sleeps:
        return None
    port = {"name": "status", "port": _STATUS_PORT, "protocol": "TCP", "targetPort": "status"}
    spec = {"type": "ClusterIP", "selector": {ACTIVATOR_LABEL: agent.name}, "ports": [port]}
    return agent.manifest(SERVICES, name(agent.name), spec=spec)


def network_policy(agent: Agent) -> dict[str, Any] | None:
    """The activator's fence: whoever may reach the agent's port may reach it, and it reaches nobody but the agent."""
    if not agent.sleeps:
        return None
    dns = agent.surroundings.cluster.dns
    resolvers = [*dns.peers(), *blocks(dns.cidrs)]
    out = [{"to": [{"podSelector": {"matchLabels": agent.selector}}], "ports": ports((agent.port,))}]
    if resolvers:
        out.append({"to": resolvers, "ports": [*ports(dns.ports, "UDP"), *ports(dns.ports)]})
    spec = {
        "podSelector": {"matchLabels": {ACTIVATOR_LABEL: agent.name}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ordered(_ingress(agent)),
        "egress": ordered(out),
    }
    return agent.manifest(NETWORK_POLICIES, name(agent.name), spec=spec)


def _ingress(agent: Agent) -> Iterator[dict[str, Any]]:
    own, network = ports((agent.port,)), agent.surroundings.cluster
    if callers := [*agents(agent, agent.surroundings.callers)]:
        yield {"from": callers, "ports": own}
    for each in agent.spec.network.ingress_from:
        if own[0] in (written(each) if each.agent is not None else written(each) or own):
            yield {"from": [peer(agent, each)], "ports": own}
    if asking := [*network.keda.peers(), *network.scraper.peers()]:
        yield {"from": asking, "ports": ports((_STATUS_PORT,))}


def deployment(agent: Agent) -> dict[str, Any] | None:
    """One pod; a new one is ready before the old one takes no more."""
    if not agent.sleeps:
        return None
    made = agent.manifest(
        DEPLOYMENTS,
        name(agent.name),
        spec={
            "replicas": 1,
            "selector": {"matchLabels": {ACTIVATOR_LABEL: agent.name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": _PROGRESS_DEADLINE_SECONDS,
            "template": {"metadata": {"labels": _labels(agent), "annotations": _SCRAPED}, "spec": _pod(agent)},
        },
    )
    made["metadata"]["labels"][ACTIVATOR_LABEL] = agent.name
    return made


_SCRAPED = {
    "prometheus.io/scrape": "true",
    "prometheus.io/scheme": "http",
    "prometheus.io/port": str(_STATUS_PORT),
    "prometheus.io/path": "/metrics",
}


def _labels(agent: Agent) -> dict[str, str]:
    """None by which the pod would be taken for one of the agent's own."""
    return {
        "app.kubernetes.io/name": "agent-activator",
        "app.kubernetes.io/instance": agent.name,
        "app.kubernetes.io/part-of": "apm",
        ACTIVATOR_LABEL: agent.name,
        REACHED_LABEL: agent.name,
    }


def _pod(agent: Agent) -> dict[str, Any]:
    spec = agent.spec
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": pod_security(),
        "containers": [_container(agent)],
        **present(
            imagePullSecrets=wire(spec.image_pull_secrets),
            nodeSelector=wire(spec.node_selector),
            tolerations=wire(spec.tolerations),
            priorityClassName=spec.priority_class_name,
        ),
    }


def _container(agent: Agent) -> dict[str, Any]:
    told = {
        "APM_UPSTREAM_HOST": awake(agent.name),
        "APM_UPSTREAM_PORT": str(agent.port),
        "APM_PORT": str(agent.port),
        "APM_STATUS_PORT": str(_STATUS_PORT),
    }
    return {
        "name": "activator",
        "image": agent.activator_image,
        "imagePullPolicy": agent.activator_pull_policy,
        "command": ["python3", "-m", "apm_operator.activator"],
        "env": [{"name": key, "value": value} for key, value in told.items()],
        "ports": [
            {"name": agent.scheme, "containerPort": agent.port, "protocol": "TCP"},
            {"name": "status", "containerPort": _STATUS_PORT, "protocol": "TCP"},
        ],
        "livenessProbe": probe("/livez", "status", period=10, failures=3, timeout=5),
        "readinessProbe": probe("/readyz", "status", period=2, failures=2, timeout=2),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
        "resources": _RESOURCES,
    }
