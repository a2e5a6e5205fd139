"""Who can reach whom: each cell of the table is a connection that a pod tried to make."""

import json
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.agents import PORT as AGENT_PORT
from cluster.bare import Bare
from cluster.installation import AGENTS_NAMESPACE, MONITORING_NAMESPACE, RELEASE, Installation
from cluster.mongodb import PORT as MONGODB_PORT
from cluster.settings import REPOSITORY
from e2e.support import beyond, pods
from e2e.support.manifests import agent, mongodb
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.waiting import until

_METADATA, _PUBLIC = "169.254.169.254", "203.0.113.7"
_SECONDS = 30
# A refusal may come as an answer or as silence; either way there is no connection.
_CONNECT = """
import concurrent.futures, json, socket, sys
def attempt(target):
    host, _, port = target.rpartition(":")
    try:
        address = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]
    except OSError:
        return "no name"
    try:
        socket.create_connection(address, timeout=3).close()
    except OSError:
        return "closed"
    return "open"
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(attempt, sys.argv[1:])))))
"""


@dataclass
class Landscape:
    """Agents and other pods in three namespaces, and what they may try to reach.

    Attributes:
        targets: column of the table to host and port.
        seen: what came of the attempts, by source and column.
        edits: what was edited, and the seconds until a connection told.
    """

    shop: Space
    models: Space
    monitoring: Space
    targets: dict[str, str]
    seen: dict[str, dict[str, str]] = field(default_factory=dict)
    edits: list[tuple[str, str, float]] = field(default_factory=list)

    def connect(self, space: Space, source: str, *columns: str) -> dict[str, str]:
        """Have a pod try to reach some of the targets, or all of them."""
        chosen = {column: self.targets[column] for column in columns or self.targets}
        output = space.kubectl("exec", source, "--", "python3", "-c", _CONNECT, *chosen.values())
        answers = json.loads(output)
        return {column: answers[target] for column, target in chosen.items()}

    def becomes(self, edit: str, space: Space, source: str, column: str, wanted: str) -> None:
        """Wait for the effect of what was edited just now."""
        started = time.monotonic()
        until(
            f"{source} to {column} {wanted}",
            lambda: self.connect(space, source, column)[column],
            lambda seen: seen == wanted,
            seconds=_SECONDS,
            every=0.1,
        )
        self.edits.append((edit, f"{source} to {column} is {wanted}", time.monotonic() - started))

    def network(self, space: Space, name: str, **network: Any) -> None:
        """Have an agent's `spec.network` say this and no more."""
        nothing = {"ingressFrom": None, "egressTo": None, "allowInternet": None}
        patch = json.dumps({"spec": {"network": nothing | network}})
        space.kubectl("patch", "agentdeployment", name, "--type=merge", f"--patch={patch}")

    def table(self) -> str:
        """What was seen, for people."""
        width = max(len(source) for source in self.seen) + 2
        lines = ["", "".ljust(width) + "".join(column.ljust(12) for column in self.targets)]
        for source, answers in self.seen.items():
            lines.append(source.ljust(width) + "".join(answers.get(column, "").ljust(12) for column in self.targets))
        lines += ["", "from an edit to its effect, with the attempt that shows it, which takes up to 3 s"]
        lines += [f"{seconds:6.1f} s  {edit}: {effect}" for edit, effect, seconds in self.edits]
        return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def landscape(cluster: Installation, request: pytest.FixtureRequest) -> Iterator[Landscape]:
    """Everything that the tests of this file connect; what they saw is shown at their end."""
    suffix = secrets.token_hex(4)
    shop, models = Space(cluster, f"apm-e2e-{suffix}"), Space(cluster, f"apm-e2e-{suffix}-models")
    monitoring = Space(cluster, MONITORING_NAMESPACE)
    targets = {
        "agent": f"bar.{shop.name}.svc:{AGENT_PORT}",
        "MongoDB": f"mongodb.{AGENTS_NAMESPACE}.svc:{MONGODB_PORT}",
        "model": f"llm.{models.name}.svc:80",
        "API server": "kubernetes.default.svc:443",
    }
    if isinstance(cluster.cluster, Bare):
        targets |= {"metadata": f"{_METADATA}:{beyond.PORT}", "internet": f"{_PUBLIC}:{beyond.PORT}"}
    here = Landscape(shop, models, monitoring, targets)
    try:
        for space in (shop, models, monitoring):
            space.create()
        image = Operator(cluster).runtime_image()
        models.apply(pods.python("llm", image, pods.LISTEN), pods.service("llm"), pods.python("visitor", image))
        models.apply(agent("scout", network=None))
        monitoring.apply(pods.python("scraper", image))
        shop.apply(pods.python("stranger", image), agent("bar", network=None), agent("loner", network=None))
        shop.apply(_desk(f"http://llm.{models.name}.svc/v1"))
        for space in (shop, models, monitoring):
            space.kubectl("wait", "--for=condition=Ready", "pod", "-l=app", "--timeout=90s")
        shop.ready("bar", "loner", "desk")
        models.ready("scout")
        if isinstance(cluster.cluster, Bare):
            with beyond.answering(_METADATA, _PUBLIC):
                yield here
        else:
            yield here
    finally:
        for space in (shop, models, monitoring):
            space.remove()
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            sys.stdout.write(here.table())


def _desk(model: str) -> dict[str, Any]:
    """An agent that asks the agent `bar`, a model server and MongoDB."""
    nodes = [
        {"name": "ask", "uses": "agent", "with": {"ref": "bar"}, "next": "answer"},
        {"name": "answer", "uses": "model"},
    ]
    return agent(
        "desk",
        models=[{"name": "default", "provider": "openai", "model": "m", "baseURL": model}],
        workflow={"start": "ask", "nodes": nodes},
        state=mongodb(),
        network=None,
    )


def test_the_matrix(landscape: Landscape) -> None:
    """What nothing fences shows that each target answers; else a refusal would prove nothing.

    MongoDB has a fence of its own, which lets agents in. DNS works wherever the outcome is not `no name`.
    """
    shop, models = landscape.shop, landscape.models
    for row, space, source in (
        ("pod of the same namespace", shop, "stranger"),
        ("pod of another namespace", models, "visitor"),
        ("metrics scraper", landscape.monitoring, "scraper"),
        ("agent that asks it", shop, "deployment/desk"),
        ("agent that does not", shop, "deployment/loner"),
        ("agent elsewhere", models, "deployment/scout"),
    ):
        landscape.seen[row] = landscape.connect(space, source)
    unfenced = dict.fromkeys(landscape.targets, "open")
    fenced = dict.fromkeys(landscape.targets, "closed")
    assert landscape.seen == {
        "pod of the same namespace": unfenced | {"agent": "closed", "MongoDB": "closed"},
        "pod of another namespace": unfenced | {"agent": "closed", "MongoDB": "closed"},
        "metrics scraper": unfenced | {"MongoDB": "closed"},
        "agent that asks it": fenced | {"agent": "open", "MongoDB": "open", "model": "open"},
        "agent that does not": fenced,
        "agent elsewhere": fenced,
    }


def test_an_agent_needs_no_more_in_a_namespace_that_the_chart_has_closed(landscape: Landscape) -> None:
    shop = landscape.shop
    values = f"agentNamespaces[0].name={shop.name},agentNamespaces[0].defaultDeny=true"
    only = "--show-only=templates/agent-namespaces.yaml"
    closed = shop.cluster.helm("template", RELEASE, str(REPOSITORY / "charts/apm-operator"), f"--set={values}", only)
    shop.kubectl("apply", "--server-side", "--filename=-", stdin=closed)
    landscape.becomes("default-deny", shop, "stranger", "model", "no name")
    assert landscape.connect(shop, "deployment/desk") == landscape.seen["agent that asks it"]
    shop.kubectl("delete", "--filename=-", stdin=closed)
    landscape.becomes("no default-deny", shop, "stranger", "model", "open")


def test_edits_open_and_close(landscape: Landscape) -> None:
    shop, models = landscape.shop, landscape.models
    stranger = {"podSelector": {"matchLabels": {"app": "stranger"}}}
    elsewhere = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": models.name}}}
    for edit, peer, space, source in (
        ("bar ingressFrom podSelector", stranger, shop, "stranger"),
        ("bar ingressFrom namespaceSelector", elsewhere, models, "visitor"),
    ):
        landscape.network(shop, "bar", ingressFrom=[peer])
        landscape.becomes(edit, space, source, "agent", "open")
        landscape.network(shop, "bar")
        landscape.becomes(f"no {edit}", space, source, "agent", "closed")

    database = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": AGENTS_NAMESPACE}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "mongodb"}},
        "ports": [MONGODB_PORT],
    }
    landscape.network(shop, "loner", egressTo=[database])
    landscape.becomes("loner egressTo podSelector", shop, "deployment/loner", "MongoDB", "open")
    assert landscape.connect(shop, "deployment/loner", "model") == {"model": "closed"}
    landscape.network(shop, "loner")
    landscape.becomes("no loner egressTo podSelector", shop, "deployment/loner", "MongoDB", "closed")


def test_agents_reach_each_other_where_both_agree(landscape: Landscape) -> None:
    shop, models = landscape.shop, landscape.models
    landscape.network(models, "scout", egressTo=[{"agent": "bar", "namespace": shop.name}])
    models.ready("scout")
    assert landscape.connect(models, "deployment/scout", "agent") == {"agent": "closed"}
    landscape.network(shop, "bar", ingressFrom=[{"agent": "scout", "namespace": models.name}])
    landscape.becomes("bar ingressFrom agent", models, "deployment/scout", "agent", "open")
    landscape.network(models, "scout")
    landscape.becomes("no scout egressTo agent", models, "deployment/scout", "agent", "closed")
    landscape.network(shop, "bar")


def test_a_workflow_that_begins_to_ask_opens_both_ends(landscape: Landscape) -> None:
    shop = landscape.shop
    nodes = [{"name": "ask", "uses": "agent", "with": {"ref": "bar"}}]
    shop.apply(agent("late", network=None))
    shop.ready("late")
    assert landscape.connect(shop, "deployment/late", "agent") == {"agent": "closed"}
    shop.apply(agent("late", workflow={"start": "ask", "nodes": nodes}, network=None))
    shop.ready("late")
    landscape.becomes("late asks bar", shop, "deployment/late", "agent", "open")
    shop.apply(agent("late", network=None))
    shop.ready("late")
    landscape.becomes("late asks nobody", shop, "deployment/late", "agent", "closed")


def test_the_internet_is_opened_without_the_metadata_service(landscape: Landscape) -> None:
    if "internet" not in landscape.targets:
        pytest.skip("an engine's own network has no address that the test can make")
    shop, loner = landscape.shop, "deployment/loner"
    landscape.network(shop, "loner", allowInternet=True)
    landscape.becomes("loner allowInternet", shop, loner, "internet", "open")
    everything = landscape.connect(shop, loner)
    assert everything == dict.fromkeys(landscape.targets, "closed") | {"internet": "open"}
    landscape.network(shop, "loner", egressTo=[{"cidr": f"{_METADATA}/32", "ports": [beyond.PORT]}])
    landscape.becomes("loner egressTo cidr", shop, loner, "metadata", "open")
    landscape.becomes("no loner allowInternet", shop, loner, "internet", "closed")
    landscape.network(shop, "loner")
    landscape.becomes("no loner egressTo cidr", shop, loner, "metadata", "closed")
