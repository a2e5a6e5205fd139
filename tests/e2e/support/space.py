"""A namespace of one test, and what a user does in it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from langgraph_sdk.client import SyncLangGraphClient

from cluster import agents, volumes
from cluster.installation import OPERATOR_NAMESPACE, Installation
from e2e.support.manifests import AGENT_LABEL
from e2e.support.waiting import until

_OWN = "apm-e2e=true"
_RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@dataclass(frozen=True)
class Space:
    """A namespace that enforces Pod Security `restricted`, in which the operator may use Secrets."""

    cluster: Installation
    name: str

    def create(self) -> None:
        """Make the namespace, with Secrets of MongoDB and a caller, and the grant that its admin gives the operator."""
        volumes.recycle(self.cluster.kubectl)
        self.cluster.kubectl("create", "namespace", self.name)
        self.cluster.kubectl("label", "namespace", self.name, _OWN, _RESTRICTED)
        self.kubectl(
            "create",
            "rolebinding",
            "apm-operator-secrets",
            "--clusterrole=apm-operator-secrets",
            f"--serviceaccount={OPERATOR_NAMESPACE}:apm-operator",
        )
        self.cluster.copy_mongodb_secret(self.name)
        agents.ensure_caller(self.kubectl)

    def remove(self) -> None:
        """Delete the namespace, without waiting until it is gone."""
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false", "--ignore-not-found")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl in this namespace."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply objects as a user does."""
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object; {} where it does not exist."""
        text = self.kubectl("get", kind, name, "--ignore-not-found", "--output=json")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def all(self, kind: str, agent: str = "") -> list[dict[str, Any]]:
        """Objects of a kind: those that belong to `agent`, or all that belong to any agent."""
        label = f"{AGENT_LABEL}={agent}" if agent else AGENT_LABEL
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, f"-l={label}", "--output=json"))["items"]
        return items

    def pods(self, agent: str) -> list[dict[str, Any]]:
        """The pods of an agent that are not on their way out."""
        return [pod for pod in self.all("pods", agent) if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, *agents: str, seconds: float = 90) -> None:
        """Wait until the newest spec of these agents is what runs and answers."""
        for name in agents:
            self.until_reason(name, "Ready", seconds=seconds)

    def until_reason(self, agent: str, reason: str, *, seconds: float = 60) -> dict[str, Any]:
        """Wait until the condition Ready gives this reason for the newest spec; the condition."""

        def look() -> dict[str, Any]:
            found = self.get("agentdeployment", agent)
            generation = found.get("metadata", {}).get("generation")
            conditions = found.get("status", {}).get("conditions", [])
            ready = next((each for each in conditions if each["type"] == "Ready"), {})
            return ready if ready.get("observedGeneration") == generation else {}

        return until(f"{reason} of {agent}", look, lambda condition: condition.get("reason") == reason, seconds=seconds)

    def until_gone(self, kind: str, agent: str, *, seconds: float = 60) -> None:
        """Wait until no object of a kind belongs to the agent."""
        until(f"no {kind} of {agent}", lambda: self.names(kind, agent), lambda names: not names, seconds=seconds)

    def names(self, kind: str, agent: str = "") -> list[str]:
        """Names of the objects of a kind that belong to an agent, or to any."""
        return sorted(each["metadata"]["name"] for each in self.all(kind, agent))

    @contextmanager
    def client(self, agent: str) -> Iterator[SyncLangGraphClient]:
        """A client of LangGraph's own SDK that speaks to the agent's Service."""
        url = self.get("agentdeployment", agent)["status"]["url"]
        tls = url.startswith("https:")
        with agents.client(self.cluster.cluster, self.kubectl, self.name, agent, tls=tls) as client:
            yield client

    @contextmanager
    def http(self, agent: str, caller: str = "") -> Iterator[httpx.Client]:
        """A client that reaches the agent by HTTPS, with the certificate of the agent `caller` or no proof at all."""
        with agents.http(self.cluster.cluster, self.kubectl, self.name, agent, caller=caller) as client:
            yield client


def wait_until_removed(cluster: Installation) -> None:
    """Wait until the namespaces of the tests are gone."""
    cluster.kubectl("wait", "--for=delete", "namespace", f"-l={_OWN}", "--timeout=180s")


def say(client: SyncLangGraphClient, thread: str | None, text: str) -> str:
    """Send one message and return the answer; without a thread nothing is remembered."""
    turn: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    state: Any = client.runs.wait(thread, "agent", input=turn)
    return str(state["messages"][-1]["content"])
