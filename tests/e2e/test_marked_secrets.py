"""Marked secrets in every place that agents have for them, and no mark in anything but the Secrets themselves."""

import base64
import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import bson
import httpx
import pytest
from pymongo import MongoClient

from cluster import mongodb
from cluster.installation import AGENTS_NAMESPACE
from e2e.support import pods
from e2e.support.backups import backup, policy, until_phase
from e2e.support.manifests import agent, secret
from e2e.support.manifests import mongodb as in_mongodb
from e2e.support.operator import Operator
from e2e.support.space import Space

# A model and a service in one, which say back what they were sent, in the body and in the head.
_ECHO = """
import http.server, json

class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        told = json.dumps(dict(self.headers))
        message = {"role": "assistant", "content": told}
        answer = {"error": {"message": told}, "told": told, "choices": [{"index": 0, "message": message}]}
        body = json.dumps(answer).encode()
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("x-told", self.headers.get("authorization", ""))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8000), Echo).serve_forever()
"""
_FAILING = ("bucket", "nowhere", "locked")
_RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
"""The one of the specification's examples."""
_LONG = 12
"""Characters from which on a line of a Secret is taken for one, and for no word."""
_TURN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}


@pytest.fixture
def marks() -> dict[str, str]:
    """A mark for each place."""
    places = (
        "model-key",
        "tool-token",
        "variable",
        "url-password",
        "database-password",
        "caller",
        "s3-id",
        "s3-key",
        "age",
    )
    return {place: f"marked-{place}-{secrets.token_hex(8)}" for place in places}


@pytest.fixture
def seeded(space: Space, marks: dict[str, str]) -> Space:
    """Agents that use the marks: one is answered, one is refused, one finds no database, one lacks a key.

    And backups that fail with theirs: by a bucket that is none, without a database, with a key that is none.
    """
    space.apply(
        secret("llm", key=marks["model-key"]),
        secret("crm", token=marks["tool-token"]),
        secret("more", CRM_TOKEN=marks["variable"], BILLING_URL=f"https://me:{marks['url-password']}@billing.example/"),
        secret("elsewhere", uri=f"mongodb://me:{marks['database-password']}@mongodb.nowhere.svc:27017/"),
        secret("bucket", **{"access-key-id": marks["s3-id"], "secret-access-key": marks["s3-key"]}),
        secret("age", identity=f"AGE-SECRET-KEY-1{marks['age']}"),
        pods.python("echo", Operator(space.cluster).runtime_image(), _ECHO),
        pods.service("echo"),
    )
    space.kubectl("wait", "--for=condition=Ready", "pod/echo", "--timeout=90s")
    space.apply(
        _careless("answered", space, 200, state=in_mongodb()),
        _careless("refused", space, 401, state=in_mongodb()),
        _careless("homeless", space, 200, state=in_mongodb("elsewhere")),
        _careless("lacking", space, 200, key="no-such-key"),
    )
    s3 = {"endpoint": f"http://echo.{space.name}.svc", "bucket": "none", "credentialsSecretRef": {"name": "bucket"}}
    source = {"mongodb": {"uriSecretRef": {"name": "elsewhere", "key": "uri"}}}
    age = {"recipients": [_RECIPIENT], "identitySecretRef": {"name": "age", "key": "identity"}}
    space.apply(
        policy("bucket", "none", storage={"s3": s3}),
        policy("nowhere", source=source),
        policy("locked", "none", encryption=age),
        *(backup(f"of-{name}", name) for name in _FAILING),
    )
    for name in _FAILING:
        until_phase(space, "backup", f"of-{name}", "Failed", seconds=240)
    space.ready("answered", "refused")
    space.until_reason("homeless", "StateUnavailable", seconds=120)
    space.until_reason("lacking", "SecretMissing")
    return space


def test_no_secret_is_anywhere_but_in_its_secret(seeded: Space, marks: dict[str, str]) -> None:
    answers = {name: "\n".join(_answers(seeded, name, marks["caller"])) for name in ("answered", "refused")}
    assert "Bearer [redacted]" in answers["answered"], "the service was sent the token, and said it back"
    assert "refused the credentials" in answers["refused"]
    known = {*marks.values(), *_kept(seeded)}
    assert len(known) > len(marks), "MongoDB's own password is known as well"
    told = {
        **{f"answers of {name}": text for name, text in answers.items()},
        **dict(_objects(seeded)),
        **{f"logs of {pod}": seeded.kubectl("logs", pod, "--all-containers", "--tail=-1") for pod in _pods(seeded)},
        "logs of the operator": Operator(seeded.cluster).logs(),
        **dict(_documents(seeded)),
    }
    assert [place for place in told if place.startswith("logs of pod") and "run ended" in told[place]]
    assert any("checkpoint" in place for place in told), "MongoDB was looked at"
    leaks = [
        (place, mark[:30]) for place, text in told.items() for mark in known for form in _forms(mark) if form in text
    ]
    assert leaks == []


def _careless(name: str, space: Space, status: int, *, key: str = "key", **spec: Any) -> dict[str, Any]:
    """An agent whose model and tool say back what they are sent."""
    url = f"http://echo.{space.name}.svc/{status}"
    model = {"name": "default", "model": "m", "baseURL": f"{url}/v1", "apiKeySecretRef": {"name": "llm", "key": key}}
    tool = {"name": "crm", "http": {"url": f"{url}/crm", "bearerTokenSecretRef": {"name": "crm", "key": "token"}}}
    return agent(
        name,
        models=[model | {"maxAttempts": 1}],
        workflow={
            "state": {"messages": {"type": "messages"}, "told": {"type": "any"}},
            "start": "look",
            "tools": [tool],
            "nodes": [
                {
                    "name": "look",
                    "uses": "tool",
                    "with": {"tool": "crm", "save": "told"},
                    "onError": "ask",
                    "next": "ask",
                },
                {"name": "ask", "uses": "model"},
            ],
        },
        env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}}],
        envFrom=[{"secretRef": {"name": "more"}}],
        **spec,
    )


def _answers(space: Space, name: str, proof: str) -> Iterator[str]:
    """What an agent answers wherever it can be asked, heads included, to its caller and to a stranger."""
    with space.client(name) as client:
        http: httpx.Client = client.http.client
        thread = client.threads.create()["thread_id"]
        modes = ["values", "updates", "messages", "debug", "tasks", "checkpoints"]
        asked = [
            ("POST", f"/threads/{thread}/runs/wait", _TURN),
            ("POST", f"/threads/{thread}/runs/stream", {**_TURN, "stream_mode": modes}),
            ("POST", "/runs/wait", _TURN),
            ("GET", f"/threads/{thread}/state", None),
            ("GET", f"/threads/{thread}/runs", None),
            ("POST", f"/threads/{thread}/history", {}),
            ("POST", "/threads/search", {}),
            ("GET", "/assistants/agent/graph", None),
            ("GET", "/info", None),
            ("GET", "/readyz", None),
            ("GET", "/metrics", None),
            ("GET", "/nothing", None),
        ]
        for method, path, body in asked:
            answer = http.request(method, path, json=body, timeout=60)
            yield f"{path}: {answer.status_code} {answer.headers} {answer.text}"
            stranger = http.request(method, path, json=body, timeout=60, headers={"x-api-key": proof})
            yield f"{path}: {stranger.status_code} {stranger.headers} {stranger.text}"


def _objects(space: Space) -> Iterator[tuple[str, str]]:
    """All objects of the namespace but the Secrets."""
    listed = space.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    for kind in listed:
        if kind != "secrets":
            yield f"objects {kind}", space.kubectl("get", kind, "--output=json", "--show-managed-fields")


def _pods(space: Space) -> list[str]:
    """Those that run or have run; one whose Secret lacks a key never begins."""
    return space.kubectl("get", "pods", "--field-selector=status.phase!=Pending", "--output=name").split()


def _documents(space: Space) -> Iterator[tuple[str, str]]:
    """What MongoDB keeps of the agents of this namespace."""
    ours = {"$regex": f"^{space.name}/"}
    with (
        mongodb.reached(space.cluster.cluster, AGENTS_NAMESPACE) as uri,
        MongoClient(uri) as client,
    ):
        for name in client["apm"].list_collection_names():
            for number, found in enumerate(client["apm"][name].find({"$or": [{"_id": ours}, {"thread_id": ours}]})):
                yield f"{name} {number}", bson.encode(found).decode("latin-1")


def _kept(space: Space) -> Iterator[str]:
    """What the Secrets of the namespace hold: keys, tokens, connection strings and the passwords in them."""
    for found in json.loads(space.kubectl("get", "secrets", "--output=json"))["items"]:
        for name, encoded in (found.get("data") or {}).items():
            if name.endswith(".crt"):
                continue
            lines = base64.b64decode(encoded).decode().splitlines()
            yield from (line for line in lines if len(line) >= _LONG and "-----" not in line)
            yield from (password for line in lines if (password := urlsplit(line).password))


def _forms(mark: str) -> set[str]:
    return {mark, quote(mark, safe="")}
