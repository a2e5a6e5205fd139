"""The pod template of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.spec.identity import TLS_DIR, TRUST_DIR
from agent_runtime.spec.secret import API_KEYS_DIR, SECRETS_DIR
from apm_operator.kinds import CONFIG_HASH, REACHED_LABEL, SECRETS_HASH
from apm_operator.manifests import certificate, trust
from apm_operator.manifests.configmap import FILE_NAME
from apm_operator.manifests.parts import container_security, from_field, pod_security, present, probe, wire
from apm_operator.manifests.resources import complete

if TYPE_CHECKING:
    from apm_operator.api.agentdeployment import AgentDeploymentSpec
    from apm_operator.manifests.agent import Agent

CONTAINER = "agent"
CONFIG_DIR = "/etc/apm"
KEDA_TLS = "APM_KEDA_MONGODB_TLS"
"""Variable of the agent's container that KEDA, which reads it in the Deployment, is told by to use TLS."""
TOKEN_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a folder; all clients look there
TOKEN_SECONDS = 600
"""Life of the token that an agent with permissions has: the shortest that Kubernetes gives out. kubelet renews it."""
TMP_LIMIT = "256Mi"
GRACE_SECONDS = 60
"""Time that a pod has after SIGTERM to end its running supersteps."""


def template(agent: Agent) -> dict[str, Any]:
    """`spec.template` of the agent's Deployment."""
    spec = agent.spec
    labels, annotations = _user_metadata(agent)
    reached = {REACHED_LABEL: agent.name} if agent.sleeps else {}
    hashes = {CONFIG_HASH: agent.config_hash} | ({SECRETS_HASH: agent.secrets_hash} if agent.secrets_hash else {})
    return {
        "metadata": {"labels": labels | agent.labels | reached, "annotations": _scraped(agent) | annotations | hashes},
        "spec": {
            "serviceAccountName": agent.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": pod_security(),
            "containers": [_container(agent)],
            "volumes": _volumes(agent),
            **present(
                imagePullSecrets=wire(spec.image_pull_secrets),
                nodeSelector=wire(spec.node_selector),
                tolerations=wire(spec.tolerations),
                affinity=wire(spec.affinity),
                topologySpreadConstraints=_spread(agent),
                priorityClassName=spec.priority_class_name,
            ),
        },
    }


def _container(agent: Agent) -> dict[str, Any]:
    spec = agent.spec
    mounts = [
        {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a mount point, not a file
    ]
    if agent.permissions:
        mounts.append({"name": "token", "mountPath": TOKEN_DIR, "readOnly": True})
    if spec.tls.enabled:
        mounts += [
            {"name": "tls", "mountPath": str(TLS_DIR), "readOnly": True},
            {"name": "trust", "mountPath": str(TRUST_DIR), "readOnly": True},
        ]
    if agent.mounted:
        mounts.append({"name": "secrets", "mountPath": str(SECRETS_DIR), "readOnly": True})
    if _api_keys(agent):
        mounts.append({"name": "api-keys", "mountPath": str(API_KEYS_DIR), "readOnly": True})
    return {
        "name": CONTAINER,
        "image": spec.image or agent.default_image,
        "imagePullPolicy": spec.image_pull_policy or agent.default_pull_policy,
        "ports": [{"name": agent.scheme, "containerPort": agent.port, "protocol": "TCP"}],
        "env": [
            # These win over envFrom, and with the first of them the runtime heeds no other.
            {"name": "APM_MANAGED", "value": "true"},
            {"name": "APM_CONFIG", "value": f"{CONFIG_DIR}/{FILE_NAME}"},
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
            *_for_keda(spec),
            *wire(spec.env),
        ],
        # A new agent is to be ready within 5 s, so it is asked each second; a slow one has a minute.
        "startupProbe": _probe(agent, "/livez", period=1, failures=60),
        "livenessProbe": _probe(agent, "/livez", period=10, failures=3, timeout=5),
        "readinessProbe": _probe(agent, "/readyz", period=2, failures=2, timeout=2),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
        "volumeMounts": mounts,
        **present(envFrom=wire(spec.env_from), resources=complete(spec.resources)),
    }


def _for_keda(spec: AgentDeploymentSpec) -> list[dict[str, str]]:
    """By the spec alone: pods are not to be replaced as KEDA is installed or removed."""
    queued = spec.autoscaling is not None and spec.autoscaling.target_queue_depth is not None
    tls = spec.state is not None and spec.state.mongodb.tls is not None
    return [{"name": KEDA_TLS, "value": "enable"}] if queued and tls else []


def _volumes(agent: Agent) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        {"name": "config", "configMap": {"name": agent.config_map}},
        {"name": "tmp", "emptyDir": {"sizeLimit": TMP_LIMIT}},
    ]
    if agent.permissions:
        volumes.append({"name": "token", "projected": {"defaultMode": 0o440, "sources": _token()}})
    if agent.spec.tls.enabled:
        # Whole folders, so that the kubelet renews them as the pod runs.
        volumes += [
            {"name": "tls", "secret": {"secretName": certificate.name(agent.name), "defaultMode": 0o440}},
            {"name": "trust", "configMap": {"name": trust.name(agent.name), "defaultMode": 0o444}},
        ]
    if agent.mounted:
        keys: dict[str, set[str]] = {}
        for ref in agent.mounted:
            keys.setdefault(ref.name, set()).add(ref.key)
        sources = [
            {
                "secret": {
                    "name": name,
                    "items": [{"key": key, "path": f"{name}/{key}"} for key in sorted(keys[name])],
                }
            }
            for name in sorted(keys)
        ]
        volumes.append({"name": "secrets", "projected": {"defaultMode": 0o440, "sources": sources}})
    if name := _api_keys(agent):
        volumes.append({"name": "api-keys", "secret": {"secretName": name, "defaultMode": 0o440}})
    return volumes


def _api_keys(agent: Agent) -> str:
    """The Secret with the keys of callers; "" where there is none."""
    auth = agent.spec.auth
    return auth.api_keys.secret_ref.name if auth and auth.api_keys else ""


def _token() -> list[dict[str, Any]]:
    """What clients look for where Kubernetes itself mounts a token, which then lives for an hour."""
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _spread(agent: Agent) -> Any:
    """What the user asks for; else, from two replicas on, different nodes where there are some."""
    if agent.spec.topology_spread_constraints:
        constraints = wire(agent.spec.topology_spread_constraints)
        return [{"labelSelector": {"matchLabels": agent.selector}, **each} for each in constraints]
    if agent.spec.most_replicas < 2:  # noqa: PLR2004
        return None
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": agent.selector},
        }
    ]


def _user_metadata(agent: Agent) -> tuple[dict[str, str], dict[str, str]]:
    metadata = agent.spec.pod_template.metadata if agent.spec.pod_template else None
    if metadata is None:
        return {}, {}
    return dict(metadata.labels), dict(metadata.annotations)


def _scraped(agent: Agent) -> dict[str, str]:
    """What a Prometheus without PodMonitors goes by; the user's own annotations win."""
    told = {"scrape": "true", "scheme": agent.scheme, "port": str(agent.port), "path": "/metrics"}
    return {f"prometheus.io/{name}": value for name, value in told.items()}


def _probe(agent: Agent, path: str, *, period: int, failures: int, timeout: int = 1) -> dict[str, Any]:
    scheme = agent.scheme.upper()
    return probe(path, agent.scheme, period=period, failures=failures, timeout=timeout, scheme=scheme)
