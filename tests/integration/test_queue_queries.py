"""What KEDA counts in MongoDB is what an agent's pods would find to do there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import json_util
from pymongo import MongoClient

from apm_operator.api.agentdeployment import AgentDeployment
from apm_operator.manifests.agent import Surroundings
from apm_operator.reconcile import plan
from apm_operator.reconcile.surroundings import Outlook
from fakes.agents import CHAT, ECHO, running
from integration.operators import agent

if TYPE_CHECKING:
    from pathlib import Path

ONE, DESK = {"agent": "shop/one"}, {"agent": "shop/desk"}
PAST, FUTURE = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
COUNTED: dict[str, list[dict[str, Any]]] = {
    "runs": [
        ONE | {"status": "pending", "due": None},
        ONE | {"status": "pending", "due": PAST},
        ONE | {"status": "running"},
    ],
    "events": [ONE | {"open": True, "pending": ["subscribe/x"]}, DESK | {"open": True, "pending": ["sink/to-one"]}],
    "crons": [ONE | {"due": PAST}],
    "interrupts": [ONE | {"status": "open", "due": PAST}],
    "webhooks": [ONE | {"due": PAST}],
}
NOT_COUNTED: dict[str, list[dict[str, Any]]] = {
    "runs": [
        ONE | {"status": "pending", "due": FUTURE},
        ONE | {"status": "success", "due": None},
        DESK | {"status": "pending", "due": None},
    ],
    "events": [ONE | {"open": False, "pending": []}, DESK | {"open": True, "pending": ["sink/other"]}],
    "crons": [ONE | {"due": FUTURE}, ONE | {"due": NEVER}, DESK | {"due": PAST}],
    "interrupts": [
        ONE | {"status": "open", "due": FUTURE},
        ONE | {"status": "open", "due": None},
        ONE | {"status": "answered", "due": PAST},
    ],
    "webhooks": [ONE | {"due": FUTURE}, DESK | {"due": PAST}],
}


def queries(state: dict[str, Any]) -> dict[str, Any]:
    """By collection, as KEDA is told them for an agent that may sleep."""
    scaling = {"minReplicas": 0, "maxReplicas": 3, "targetQueueDepth": 5}
    runs = {"webhooks": {"origins": ["https://hooks.example"]}}
    body = agent("one", "shop", state=state, autoscaling=scaling, runs=runs)
    body["metadata"] |= {"uid": "u", "generation": 1}
    parsed = AgentDeployment.parse(body)
    made = plan.make(
        parsed,
        (),
        frozenset(),
        "",
        plan.Images("image", "IfNotPresent"),
        wanted=plan.wanted(parsed.spec, "shop"),
        outlook=Outlook(Surroundings(keda=True, senders=(("shop/desk", "to-one"),))),
    )
    triggers = made.keda[-1].wanted["spec"]["triggers"]
    told = [each["metadata"] for each in triggers if each["type"] == "mongodb"]
    return {each["collection"]: json_util.loads(each["query"]) for each in told}


async def test_what_waits_is_counted_and_nothing_else(mounted: Path, mongodb_uri: str, database: str):
    state = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}}
    async with running({"models": [ECHO], "workflow": CHAT, "state": state}, secrets=mounted):
        pass  # the indexes are there: DocumentDB treats fields that one has in a way of its own
    asked = queries(state)
    assert asked.keys() == COUNTED.keys()
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        for name, query in asked.items():
            for waiting in (*COUNTED[name], *NOT_COUNTED[name]):
                client[database][name].insert_one(dict(waiting))
            assert client[database][name].count_documents(query) == len(COUNTED[name]), name
