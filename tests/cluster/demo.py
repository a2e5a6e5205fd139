"""The demo: from nothing to a conversation with two agents."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from langgraph_sdk.client import SyncLangGraphClient
from pymongo import MongoClient

from cluster import agents, mongodb
from cluster.controlplane import kubectl
from cluster.errors import ClusterError
from cluster.installation import AGENTS_NAMESPACE, Installation
from cluster.progress import step
from cluster.provider import Provider, choose
from cluster.settings import REPOSITORY

FRONT, PEER = "support-triage", "restaurant-voice-host"
_KINDS = "agentdeployments,deployments,pods,services,configmaps,serviceaccounts,poddisruptionbudgets"
_CONVERSATIONS = {
    FRONT: ("I have a question about my invoice.", "I would like to book a table for four."),
    PEER: ("Do you have a table for two tonight?",),
}


def run() -> None:
    """Bring everything up, talk to two agents, and show what there is now.

    Raises:
        ClusterError: an agent did not become ready, or a part did not come up.
    """
    cluster = choose()
    cluster.up()
    installation = Installation(cluster)
    installation.ensure()
    _start_agents(installation)
    for agent, lines in _CONVERSATIONS.items():
        with agents.client(cluster, _within(installation), AGENTS_NAMESPACE, agent) as client:
            _converse(client, agent, lines)
    _show(cluster)


def _within(installation: Installation) -> agents.Kubectl:
    return partial(installation.kubectl, f"--namespace={AGENTS_NAMESPACE}")


def _start_agents(installation: Installation) -> None:
    agents.ensure_caller(_within(installation))
    files = [f"--filename={REPOSITORY / 'examples' / name}.yaml" for name in (PEER, FRONT)]
    installation.kubectl("apply", "--server-side", *files)
    names = [f"agentdeployment/{name}" for name in (PEER, FRONT)]
    within = f"--namespace={AGENTS_NAMESPACE}"
    with step("agents becoming ready"):
        try:
            installation.kubectl("wait", "--for=condition=Ready", *names, within, "--timeout=180s")
        except ClusterError as error:
            shown = installation.kubectl("get", *names, within)
            raise ClusterError(f"the agents are not ready: {error}\n{shown}") from error


def _converse(client: SyncLangGraphClient, agent: str, lines: Iterable[str]) -> None:
    """Send each line to the agent in one thread, and print what comes back."""
    thread = client.threads.create()["thread_id"]
    print(f"\nA conversation with {agent} (thread {thread})")
    for line in lines:
        print(f"  customer: {line}")
        turn: dict[str, Any] = {"messages": [{"role": "user", "content": line}]}
        state: Any = client.runs.wait(thread, "agent", input=turn)
        print(f"  {agent}: {state['messages'][-1]['content']}")


def _show(cluster: Provider) -> None:
    """Print the resources made, where the state lies, and what to type next."""
    print(f"\nResources in namespace {AGENTS_NAMESPACE}")
    within = f"--namespace={AGENTS_NAMESPACE}"
    print(kubectl(cluster.kubeconfig, "get", _KINDS, within, "--ignore-not-found"))
    with mongodb.reached(cluster, AGENTS_NAMESPACE) as uri:
        client: MongoClient[dict[str, Any]] = MongoClient(uri)
        with client:
            database = client["apm"]
            print("State in MongoDB, database apm")
            for name in sorted(database.list_collection_names()):
                print(f"  {name}: {database[name].count_documents({})} documents")
    print(f"""
What to type next
  export KUBECONFIG={cluster.kubeconfig}
  kubectl get agent -A
  kubectl -n {AGENTS_NAMESPACE} describe agent {FRONT}
  kubectl -n {AGENTS_NAMESPACE} get secret {agents.CALLERS} -o jsonpath='{{.data.{agents.CALLER}}}' | base64 -d   # KEY
  kubectl -n {AGENTS_NAMESPACE} get configmap {FRONT}-trust -o jsonpath='{{.data.ca\\.crt}}' > ca.crt
  kubectl -n {AGENTS_NAMESPACE} port-forward service/{FRONT} 8443   # then, in another shell:
  curl --cacert ca.crt --connect-to {FRONT}:8443:127.0.0.1:8443 --header "X-Api-Key: KEY" \\
    --json '{{"assistant_id": "agent", "input": {{"messages": [{{"role": "user", "content": "hello"}}]}}}}' https://{FRONT}:8443/runs/wait
  make down""")
