"""An event that the run of one agent emits starts a run of another, also where its pod ends meanwhile."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from cluster import mongodb
from cluster.installation import AGENTS_NAMESPACE
from e2e.support.manifests import AGENT_LABEL, agent
from e2e.support.manifests import mongodb as in_mongodb
from e2e.support.space import Space
from e2e.support.waiting import until

_ORDER = {"order": {"type": "string"}}
_TELL = {
    "name": "tell",
    "uses": "emit",
    "with": {"type": "order.made", "subject": "state.order", "data": "{'order': state.order}"},
}
_NOTE = {"name": "note", "uses": "set", "with": {"values": {"noted": "state.order"}}}
_SECONDS = 120
"""An agent's pods learn of a new caller within about a minute."""


@pytest.fixture
def agents(space: Space) -> Space:
    """The agent `desk` tells the agent `bar` of orders; nothing else opens the way between them."""
    desk = {"workflow": {"state": _ORDER, "start": "tell", "nodes": [_TELL]}}
    bar = {"workflow": {"state": {**_ORDER, "noted": {"type": "string"}}, "start": "note", "nodes": [_NOTE]}}
    wanted = {"name": "orders", "type": "order.*", "start": {"input": {"order": "event.data.order"}}}
    space.apply(
        agent("desk", state=in_mongodb(), events={"sinks": [{"name": "bar", "agent": "bar"}]}, **desk),
        agent("bar", state=in_mongodb(), network=None, events={"subscribe": [wanted]}, **bar),
    )
    space.ready("desk", "bar")
    return space


def test_an_event_starts_a_run_of_another_agent_also_where_its_pod_ends_meanwhile(agents: Space) -> None:
    first, second = f"first-{secrets.token_hex(4)}", f"second-{secrets.token_hex(4)}"
    with _runs(agents) as runs:
        _order(agents, first)
        until("a run of bar", lambda: _done(agents, runs), lambda done: done == {first: 1}, seconds=_SECONDS)

        agents.kubectl("delete", "pod", f"-l={AGENT_LABEL}=bar", "--wait=true", "--timeout=90s")
        _order(agents, second)
        until("a run of the new pod", lambda: _done(agents, runs), lambda done: second in done, seconds=_SECONDS)
        agents.ready("bar")
        assert _done(agents, runs) == {first: 1, second: 1}
        assert {run["owner"] for run in runs.find({"agent": f"{agents.name}/bar"})} == {f"mtls|{agents.name}/desk"}
    assert _dead_letters(agents) == []


def _order(space: Space, name: str) -> None:
    with space.client("desk") as client:
        client.runs.wait(None, "agent", input={"order": name})


@contextmanager
def _runs(space: Space) -> Iterator[Collection[dict[str, Any]]]:
    with (
        mongodb.reached(space.cluster.cluster, AGENTS_NAMESPACE) as uri,
        MongoClient[dict[str, Any]](uri) as client,
    ):
        yield client["apm"]["runs"]


def _done(space: Space, runs: Collection[dict[str, Any]]) -> dict[str, int]:
    """How many runs of `bar` ended well, by the order that they were begun with."""
    found = runs.find({"agent": f"{space.name}/bar", "status": "success"})
    return dict(Counter(json.loads(run["request"])["body"]["input"]["order"] for run in found))


def _dead_letters(space: Space) -> list[Any]:
    with space.client("desk") as client:
        found: Any = client.http.get("/events/dead-letters")
    return list(found["dead_letters"])
