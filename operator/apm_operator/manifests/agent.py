"""What the builders are given, and what all manifests have in common."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apm_operator.kinds import AGENT_LABEL, AGENTS, FIELD_MANAGER, MANAGED_BY_LABEL, Resource
from apm_operator.network import ClusterNetwork

if TYPE_CHECKING:
    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.api.agentdeployment import AgentDeploymentSpec
    from apm_operator.api.permissions import Permission
    from apm_operator.manifests.networkpolicy import Target

PORT = 8080
PORT_NAME = "http"
PEER_PORTS = (PORT,)
"""Ports that another agent may serve on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an agent's network policy depends on beside its spec.

    Attributes:
        callers: namespace and name of the agents that may call this one.
        peers: namespace and name of the agents that this one asks.
        targets: what else its spec makes it connect to.
    """

    cluster: ClusterNetwork = field(default_factory=ClusterNetwork)
    callers: tuple[tuple[str, str], ...] = ()
    peers: tuple[tuple[str, str], ...] = ()
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One AgentDeployment and what its children depend on.

    Attributes:
        mounted: the Secret keys that the pods read as files.
        secrets_hash: changes when the content of a referred Secret does; "" where none is referred to.
        permissions: what the agent is granted in the Kubernetes API; empty where it is refused what it asks for.
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
    surroundings: Surroundings = field(default_factory=Surroundings)

    @property
    def port(self) -> int:
        """The port that its pods and its Service listen on."""
        return PORT

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
        return service_url(self.name, self.namespace)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that only this agent's pods have."""
        return {AGENT_LABEL: self.name}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that belongs to this agent."""
        return {
            "app.kubernetes.io/name": "agent",
            "app.kubernetes.io/instance": self.name,
            MANAGED_BY_LABEL: FIELD_MANAGER,
            "app.kubernetes.io/part-of": "apm",
            **self.selector,
        }

    def manifest(self, resource: Resource, name: str, **content: Any) -> dict[str, Any]:
        """A child: `content` with type, name, labels and owner."""
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": self.labels,
                "ownerReferences": [
                    {
                        "apiVersion": AGENTS.api_version,
                        "kind": AGENTS.kind,
                        "name": self.name,
                        "uid": self.uid,
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            **content,
        }


def service_url(name: str, namespace: str) -> str:
    """Address of an agent's Service."""
    return f"http://{name}.{namespace}.svc:{PORT}"


def digest(content: bytes) -> str:
    """The first ten hex digits of the content's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:10]


def canonical(value: Any) -> bytes:
    """JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
