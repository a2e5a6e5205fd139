"""Pods follow what waits in MongoDB, from none to as many as it takes and to none again, and no run is lost."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from langgraph_sdk.client import SyncLangGraphClient
from pymongo import MongoClient
from pymongo.collection import Collection

from cluster import mongodb
from cluster.installation import AGENTS_NAMESPACE
from e2e.support import overtls
from e2e.support.manifests import agent
from e2e.support.manifests import mongodb as in_mongodb
from e2e.support.scaling import condition, ready, replicas, until_asleep
from e2e.support.space import Space
from e2e.support.waiting import until

pytestmark = [
    pytest.mark.usefixtures("with_keda"),
    pytest.mark.skipif(not os.environ.get("APM_SOAK"), reason="APM_SOAK is not set: it takes five minutes"),
    pytest.mark.timeout(900, func_only=True),
]

_MOST = 3
_QUEUE = {"minReplicas": 0, "maxReplicas": _MOST, "targetQueueDepth": 4, "scaleDownStabilization": "10s"}
_WOKEN = 45
"""Most seconds from what is to be done to its end. KEDA looks every 5 s, a pod takes about as long to start, and who
pushes events pauses between attempts."""
_ORDER = {"order": {"type": "string"}}
_TELL = {
    "name": "tell",
    "uses": "emit",
    "with": {"type": "order.made", "subject": "state.order", "data": "{'order': state.order}"},
}
_TAKE = {"name": "orders", "type": "order.*", "start": {"input": {"order": "event.data.order"}}}


def _desk(state: dict[str, Any]) -> dict[str, Any]:
    """An agent that is always there, and tells of orders."""
    workflow = {"state": _ORDER, "start": "tell", "nodes": [_TELL]}
    return agent("desk", state=state, workflow=workflow, events={"sinks": [{"name": "bar", "agent": "bar"}]})


def _bar(state: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """An agent that takes two seconds for each of three nodes, and sleeps while there are no orders."""
    says = {"input": "state.order", "save": "said"}
    nodes = [{"name": f"n{at}", "uses": "model", "with": says, "next": f"n{at + 1}"} for at in range(3)]
    nodes[-1]["next"] = "end"
    return agent(
        "bar",
        models=[{"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "2s"}]}],
        workflow={"state": {**_ORDER, "said": {"type": "string"}}, "start": "n0", "nodes": nodes},
        state=state,
        network=None,
        events={"subscribe": [_TAKE]},
        autoscaling=_QUEUE,
        **spec,
    )


def test_an_agent_sleeps_wakes_for_events_and_follows_its_queue(space: Space) -> None:
    space.apply(_desk(in_mongodb()), _bar(in_mongodb()))
    space.ready("desk", "bar")
    _scaled_by_keda(space)
    times = {"to sleep": until_asleep(space, "bar")}
    with _runs(space) as runs, space.client("desk") as desk:
        began = time.monotonic()
        _order(desk, "first")
        until("a pod is wanted", lambda: replicas(space, "bar"), lambda number: number == 1, seconds=_WOKEN)
        times["woken by an event"] = time.monotonic() - began
        until("the run has ended", lambda: _done(space, runs), lambda done: done == {"first": 1}, seconds=_WOKEN)
        times["its run ended"] = time.monotonic() - began
        times["asleep again"] = until_asleep(space, "bar")

        made, began = Counter({"first": 1}), time.monotonic()
        for number, name in ((2, "more pods wanted"), (_MOST, "most pods ready")):
            while ready(space, "bar") < number:
                assert time.monotonic() - began < 180, f"{ready(space, 'bar')} of {number} pods after 180 s of load"
                order = f"order-{len(made)}"
                made[order] += 1
                _order(desk, order)
            times[name] = time.monotonic() - began
        began = time.monotonic()
        until("all runs have ended", lambda: _done(space, runs), lambda done: done == made, seconds=180)
        times["all runs ended"] = time.monotonic() - began
        until("fewer pods", lambda: replicas(space, "bar"), lambda number: number < _MOST, seconds=120)
        times["fewer pods wanted"] = time.monotonic() - began
        times["and none left"] = until_asleep(space, "bar") + times["fewer pods wanted"]
        assert _done(space, runs) == made
        assert runs.count_documents({"agent": f"{space.name}/bar"}) == len(made)
    print(len(made), "runs;", {name: f"{seconds:.0f} s" for name, seconds in times.items()})  # noqa: T201


def test_a_cron_wakes_an_agent_each_minute_also_one_that_is_new(space: Space) -> None:
    space.apply(_bar(in_mongodb()))
    space.ready("bar")
    until_asleep(space, "bar")
    # Who sleeps has to wake for this change: a pod writes the cron down.
    space.apply(_bar(in_mongodb(), crons=[{"name": "tick", "schedule": "* * * * *", "input": {"order": "tick"}}]))
    late = []
    with _runs(space) as runs:
        for number in (1, 2):
            until(
                "a run of the cron", lambda: _done(space, runs), lambda done, n=number: done["tick"] >= n, seconds=150
            )
            late.append((datetime.now(UTC) - _ticked(space, runs)).total_seconds())
            until_asleep(space, "bar")
    print("from the minute to the end of the run:", [f"{seconds:.0f} s" for seconds in late])  # noqa: T201
    assert max(late) < _WOKEN


def test_an_agent_sleeps_and_wakes_where_mongodb_asks_for_certificates(space: Space) -> None:
    state = overtls.mongodb(space)
    space.apply(_desk(state), _bar(state))
    space.ready("desk", "bar")
    _scaled_by_keda(space)
    until_asleep(space, "bar")
    with _runs(space) as runs, space.client("desk") as desk:
        _order(desk, "first")
        until("the run has ended", lambda: _done(space, runs), lambda done: done == {"first": 1}, seconds=_WOKEN)


def _scaled_by_keda(space: Space) -> None:
    until(
        "KEDA scales it",
        lambda: condition(space, "bar", "Autoscaling").get("reason"),
        lambda found: found == "KedaReady",
        seconds=60,
    )


def _ticked(space: Space, runs: Collection[dict[str, Any]]) -> datetime:
    """The minute that the last run of bar's cron was for."""
    cron = runs.database["crons"].find_one({"agent": f"{space.name}/bar"})
    assert cron is not None
    found: datetime = cron["last"].replace(tzinfo=UTC)
    return found


def _order(desk: SyncLangGraphClient, name: str) -> None:
    desk.runs.wait(None, "agent", input={"order": name})


@contextmanager
def _runs(space: Space) -> Iterator[Collection[dict[str, Any]]]:
    with (
        mongodb.reached(space.cluster.cluster, AGENTS_NAMESPACE) as uri,
        MongoClient[dict[str, Any]](uri) as client,
    ):
        yield client["apm"]["runs"]


def _done(space: Space, runs: Collection[dict[str, Any]]) -> Counter[str]:
    """How many runs of `bar` ended well, by the order that they were begun with."""
    found = runs.find({"agent": f"{space.name}/bar", "status": "success"})
    return Counter(json.loads(run["request"])["body"]["input"]["order"] for run in found)
