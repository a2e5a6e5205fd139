"""A report reaches its readers from a pod that may do little else: the Job's log, MongoDB and Slack."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from e2e.support import pods
from e2e.support.backups import own_database
from e2e.support.manifests import API_VERSION, MONGODB_SECRET, agent, secret
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.waiting import until

_PATH = "/services/T0/B0/only-slack-knows"
_HAS = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}

# It keeps what webhooks bring, and tells it to who asks in the pod itself.
_SLACK = """
import http.server, json

kept = []

class Slack(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        kept.append([self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))])
        self.answer(b"ok")

    def do_GET(self):
        self.answer(json.dumps(kept).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8000), Slack).serve_forever()
"""
_KEPT = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/').read().decode())"


@pytest.fixture
def database(space: Space) -> Iterator[Database[dict[str, Any]]]:
    """A database of the test's own."""
    with own_database(space) as database:
        yield database


@pytest.mark.timeout(90, func_only=True)
def test_a_report_that_is_asked_for_reaches_everybody(space: Space, database: Database[dict[str, Any]]) -> None:
    space.apply(
        pods.python("slack", Operator(space.cluster).runtime_image(), _SLACK),
        pods.service("slack"),
        secret("slack", url=f"http://slack.{space.name}.svc{_PATH}"),
        agent("clerk"),
        _report("daily", database.name),
    )
    space.kubectl("wait", "--for=condition=Ready", "pod/slack", "--timeout=30s")
    until("the report is ready", lambda: _conditions(space), lambda seen: seen.get("Ready") == "True", seconds=30)

    space.kubectl("create", "job", "--from=cronjob/daily-report", "now")
    job = until("the Job ends", lambda: space.get("job", "now")["status"], _ended, seconds=60)

    log = space.kubectl("logs", "job/now")
    assert job.get("succeeded") == 1, log
    assert f"# Agents of {space.name}\n" in log
    assert "| clerk | unknown |" in log
    ((path, message),) = json.loads(space.kubectl("exec", "slack", "--", "python3", "-c", _KEPT))
    assert (path, message["blocks"][0]["text"]["text"]) == (_PATH, f"Agents of {space.name}")
    (kept,) = database["reports"].find({})
    assert (kept["namespace"], kept["report"], kept["sent"]) == (space.name, "daily", ["Slack"])
    assert kept["markdown"].strip() in log

    until("it is told", lambda: _conditions(space), lambda seen: seen.get("Delivered") == "True", seconds=15)
    report = space.get("agentreport", "daily")
    assert report["status"]["lastReport"] == "now"
    assert report["status"]["lastReportTime"] == job["completionTime"]
    assert _PATH not in log + json.dumps(report) + Operator(space.cluster).logs()
    head, row = space.kubectl("get", "agentreports").splitlines()
    assert head.split()[:5] == ["NAME", "SCHEDULE", "PERIOD", "LAST", "REPORT"]
    assert row.split()[0] == "daily"


def _report(name: str, database: str) -> dict[str, Any]:
    """One that is made in years only, unless somebody asks for it."""
    spec = {
        "schedule": "0 0 29 2 *",
        "period": "Day",
        "store": {"mongodb": {"uriSecretRef": {"name": MONGODB_SECRET, "key": "uri"}}, "database": database},
        "slack": {"webhookSecretRef": {"name": "slack", "key": "url"}},
        "job": {"resources": _HAS, "timeout": "50s"},
    }
    return {"apiVersion": API_VERSION, "kind": "AgentReport", "metadata": {"name": name}, "spec": spec}


def _conditions(space: Space) -> dict[str, str]:
    status = space.get("agentreport", "daily").get("status", {})
    return {each["type"]: each["status"] for each in status.get("conditions", ())}


def _ended(status: dict[str, Any]) -> bool:
    conditions = status.get("conditions", ())
    return any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions)
