"""Every panel of the dashboard has data where Prometheus scrapes the cluster as the chart has it do."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from pymongo.database import Database

from apm_operator.kinds import RECONCILE_AT
from e2e.support import pods
from e2e.support.backups import backup, own_database, policy, until_phase
from e2e.support.manifests import agent, mongodb
from e2e.support.monitoring import watching
from e2e.support.operator import Operator
from e2e.support.space import Space, say
from e2e.support.waiting import until
from fakes.panels import queries, without_data

_EVERY = 5
_WINDOW = f"{4 * _EVERY}s"
_WITHIN = 120
_DOCUMENTS = 100

_LOOKUP = """
import http.server

class Lookup(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "9")
        self.end_headers()
        self.wfile.write(b'{"at": 1}')

http.server.ThreadingHTTPServer(("", 8000), Lookup).serve_forever()
"""


def _desk(space: Space) -> dict[str, Any]:
    """An agent that asks a model and a tool, keeps to a budget and a rate, and starts runs by events."""
    model = {"name": "default", "provider": "scripted", "maxTokens": 50, "script": [{"reply": "Hello"}]}
    return agent(
        "desk",
        models=[{**model, "price": {"input": "1.00", "output": "2.00"}}],
        budgets={"agent": {"tokensPerDay": 1_000_000, "costPerDay": "100"}},
        rateLimits={"requestsPerMinute": 10_000, "requestsPerHour": 10_000, "burst": 100},
        state=mongodb(),
        events={"subscribe": [{"name": "orders", "type": "shop.order.*", "start": {"input": {"found": "event.id"}}}]},
        workflow={
            "state": {"messages": {"type": "messages"}, "found": {"type": "any"}},
            "start": "look",
            "tools": [{"name": "lookup", "http": {"url": f"http://lookup.{space.name}.svc/found"}}],
            "nodes": [
                {"name": "look", "uses": "tool", "with": {"tool": "lookup", "save": "found"}, "next": "ask"},
                {"name": "ask", "uses": "model", "with": {"prompt": "Hello."}},
            ],
        },
    )


def _back_up(space: Space, database: Database[dict[str, Any]]) -> None:
    database["notes"].insert_many([{"_id": number} for number in range(_DOCUMENTS)])
    space.apply(policy("nightly", database.name), backup("by-hand", "nightly"))
    until_phase(space, "backup", "by-hand", "Completed")


def _work(space: Space) -> None:
    """A turn, an event that starts a run, and a pass of the operator."""
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "/test", "type": "shop.order.made", "data": {}}
    space.kubectl("annotate", "agentdeployment/desk", "--overwrite", f"{RECONCILE_AT}={event['id']}")
    with space.client("desk") as client:
        assert say(client, None, "hi") == "Hello"
        client.http.client.post(
            "/events", content=json.dumps(event), headers={"content-type": "application/cloudevents+json"}
        ).raise_for_status()


def test_every_panel_has_data(space: Space, tmp_path: Path) -> None:
    space.apply(
        pods.python("lookup", Operator(space.cluster).runtime_image(), _LOOKUP), pods.service("lookup"), _desk(space)
    )
    with own_database(space) as database:
        _back_up(space, database)
        space.ready("desk")
        with watching(tmp_path, space.cluster, space.name, every=_EVERY) as monitoring:
            missing = queries()

            def look() -> set[str]:
                nonlocal missing
                _work(space)
                missing = without_data(monitoring.prometheus, missing, _WINDOW)
                return missing

            until("every panel has data", look, lambda left: not left, seconds=_WITHIN)
