"""What the builders are given, and what all manifests have in common."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apm_operator.kinds import AGENT_LABEL, AGENTS, FIELD_MANAGER, MANAGED_BY_LABEL, Resource
from apm_operator.network import ClusterNetwork
from apm_operator.queue import Key

if TYPE_CHECKING:
    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.api.agentdeployment import AgentDeploymentSpec
    from apm_operator.api.permissions import Permission
    from apm_operator.manifests.networkpolicy import Target

PORT, TLS_PORT = 8080, 8443


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an agent's children depend on beside its spec.

    Attributes:
        callers: namespace and name of the agents that may call this one.
        peers: namespace and name of the agents that this one asks.
        plain: those of its peers that speak plain HTTP.
        targets: what else its spec makes it connect to.
        api_server: blocks of addresses and ports where the API server is, for agents that call it.
        authorities: certificates of the authorities to trust, PEM.
        token_review_url: where the operator reviews tokens.
        keda: whether the cluster has KEDA; False for agents that have no use for it.
        sleeping: namespace and name of the agents that it connects to and that may have no pods but their activator's.
        senders: `namespace/name` of agents in whose queues events wait for this one, and the sink; where KEDA is used.
    """

    cluster: ClusterNetwork = field(default_factory=ClusterNetwork)
    callers: tuple[tuple[str, str], ...] = ()
    peers: tuple[tuple[str, str], ...] = ()
    plain: tuple[tuple[str, str], ...] = ()
    sleeping: tuple[tuple[str, str], ...] = ()
    targets: tuple[Target, ...] = ()
    api_server: tuple[tuple[str, int], ...] = ()
    authorities: str = ""
    token_review_url: str = ""
    keda: bool = False
    senders: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One AgentDeployment and what its children depend on.

    Attributes:
        mounted: the Secret keys that the pods read as files.
        secrets_hash: changes when the content of a referred Secret does; "" where none is referred to.
        permissions: what the agent is granted in the Kubernetes API; empty where it is refused what it asks for.
        activator_image: the operator's own image, which its activator runs.
    """

    name: str
    namespace: str
    uid: str
    spec: AgentDeploymentSpec
    config: str
    mounted: tuple[SecretKeyRef, ...] = ()
    secrets_hash: str = ""
    permissions: tuple[Permission, ...] = ()
    default_image: str
    default_pull_policy: str = "IfNotPresent"
    activator_image: str = ""
    activator_pull_policy: str = "IfNotPresent"
    surroundings: Surroundings = field(default_factory=Surroundings)

    @property
    def sleeps(self) -> bool:
        """Whether KEDA may leave it without pods, so that an activator has to stand in for them."""
        wanted = self.spec.autoscaling
        asked = wanted is not None and wanted.target_queue_depth is not None and not wanted.min_replicas
        return asked and self.spec.scales_itself and self.spec.state is not None and self.surroundings.keda

    @property
    def port(self) -> int:
        """The port that its pods and its Service listen on."""
        return TLS_PORT if self.spec.tls.enabled else PORT

    @property
    def scheme(self) -> str:
        """`https` or `http`; also the name of its port."""
        return "https" if self.spec.tls.enabled else "http"

    @property
    def config_hash(self) -> str:
        """Ten digits that stand for the config's content."""
        return digest(self.config.encode())

    @property
    def config_map(self) -> str:
        """Name of the ConfigMap that holds the config."""
        return f"{self.name}-{self.config_hash}"

    @property
    def url(self) -> str:
        """Where the agent is reached from inside of the cluster."""
        return service_url(self.name, self.namespace, tls=self.spec.tls.enabled)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that only this agent's pods have."""
        return {AGENT_LABEL: self.name}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that belongs to this agent."""
        return labels(self.name)

    def manifest(self, resource: Resource, name: str, **content: Any) -> dict[str, Any]:
        """A child: `content` with type, name, labels and owner."""
        return owned(resource, name, Key(self.namespace, self.name), self.uid, **content)


def owned(resource: Resource, name: str, agent: Key, uid: str, **content: Any) -> dict[str, Any]:
    """An object that belongs to an agent and goes with it: `content` with type, name, labels and owner."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": agent.namespace,
            "labels": labels(agent.name),
            "ownerReferences": [
                {
                    "apiVersion": AGENTS.api_version,
                    "kind": AGENTS.kind,
                    "name": agent.name,
                    "uid": uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        **content,
    }


def labels(agent: str) -> dict[str, str]:
    """Labels of everything that belongs to an agent."""
    return {
        "app.kubernetes.io/name": "agent",
        "app.kubernetes.io/instance": agent,
        MANAGED_BY_LABEL: FIELD_MANAGER,
        "app.kubernetes.io/part-of": "apm",
        AGENT_LABEL: agent,
    }


def service_url(name: str, namespace: str, *, tls: bool) -> str:
    """Address of an agent's Service."""
    return f"https://{name}.{namespace}.svc:{TLS_PORT}" if tls else f"http://{name}.{namespace}.svc:{PORT}"


def digest(content: bytes) -> str:
    """The first ten hex digits of the content's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:10]


def canonical(value: Any) -> bytes:
    """JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def with_metadata(manifest: bytes, **fields: Any) -> bytes:
    """A canonical manifest whose metadata has further fields; as canonical as before where they come first by name.

    Keys are sorted, so that all that can come before an object's own metadata are texts, in which a quote is escaped.
    """
    return manifest.replace(b'"metadata":{', b'"metadata":' + canonical(fields)[:-1] + b",", 1)
