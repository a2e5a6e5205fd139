from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent_runtime.crons.mongo import MongoCrons
from agent_runtime.events.mongo import MongoStorage
from agent_runtime.events.mongo_waits import MongoWaits
from agent_runtime.items.mongo import MongoItems
from agent_runtime.metrics import Metrics
from agent_runtime.state.connection import MongoConnection
from agent_runtime.state.index_watch import IndexWatch
from agent_runtime.state.mongo import plans
from agent_runtime.state.mongodb import MongoStore
from agent_runtime.state.records import now
from fakes.databases import database

AGENT = "shop/helper"
COUNT = 4000


COLLECTIONS = {collection for collection, _, _ in plans.queries(AGENT).values()}


async def _filled(connection: MongoConnection) -> None:
    for kept in (
        MongoStore(connection, AGENT),
        MongoStorage(connection, AGENT, 60.0),
        MongoWaits(connection, AGENT, 60.0),
        MongoCrons(connection, AGENT),
        MongoItems(connection, AGENT),
    ):
        await kept.prepare()
    for name in COLLECTIONS:
        await connection.database[name].insert_many([_document(at) for at in range(COUNT)])


def _document(at: int) -> dict[str, Any]:
    """One that could stand in any of the collections, of one of 50 agents."""
    return {
        "_id": f"{AGENT}/t{at}|0|",
        "agent": f"shop/a{at % 50}",
        "thread": f"{AGENT}/t{at}",
        "owner": f"o{at}",
        "status": "idle",
        "namespace": "",
        "lease": None,
        "alone": f"{at}",
        "run_id": f"r{at}",
        "kind": "approval",
        "pending": [f"c{at % 7}"],
        "lane": f"l{at}",
        "open": True,
        "got": "",
        "type": "made",
        "subject": f"s{at}",
        "consumer": f"c{at}",
        "path": f"p{at}",
        **dict.fromkeys(("position", "last"), at),
        **dict.fromkeys(("created_at", "updated_at", "due", "since"), now() + timedelta(seconds=at)),
    }


def _scans(metrics: Metrics) -> dict[str, float]:
    return {
        query: metrics.registry.get_sample_value("apm_agent_state_scans", {"query": query}) or 0.0
        for query in plans.queries(AGENT)
    }


async def test_the_agents_queries_use_indexes_and_a_dropped_one_is_told(mongodb_uri: str):
    async with database(mongodb_uri) as connection:
        await _filled(connection)
        metrics = Metrics()
        watch = IndexWatch(connection, AGENT, metrics)
        await watch.look()
        assert _scans(metrics) == dict.fromkeys(plans.queries(AGENT), 0.0)

        await connection.database["runs"].drop_index("thread_1_created_at_-1")
        with capture_logs() as logs:
            await watch.look()
            await watch.look()
        assert [(line["event"], line["query"]) for line in logs] == [
            ("a query reads a whole collection", "a thread's runs")
        ]
        assert _scans(metrics)["a thread's runs"] == 1.0


async def test_a_scan_is_seen_of_each_query_that_needs_an_index(mongodb_uri: str):
    async with database(mongodb_uri) as connection:
        await _filled(connection)
        for name in COLLECTIONS:
            await connection.database[name].drop_indexes()
        scans = await plans.scanning(connection.database, AGENT)
    by_name = {query for query, (_, wanted, _) in plans.queries(AGENT).items() if "_id" in wanted}
    assert {query for query, scanned in scans.items() if not scanned} == by_name


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"queryPlanner": {"winningPlan": {"stage": "LIMIT", "inputStage": {"stage": "COLLSCAN"}}}}, True),
        ({"queryPlanner": {"winningPlan": {"stage": "FETCH"}, "rejectedPlans": [{"stage": "COLLSCAN"}]}}, False),
        ({"queryPlanner": {"winningPlan": {"stage": "IDHACK"}}}, False),
    ],
)
def test_plans_of_a_mongod_are_read(plan: dict[str, Any], expected: bool):  # noqa: FBT001
    assert any(map(plans._scans, plans._stages(plan))) is expected
