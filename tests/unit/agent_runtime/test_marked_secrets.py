"""Marked secrets wherever a pod has some, and no mark in anything that leaves it but the calls they are for."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import uvicorn

from agent_runtime import settings
from agent_runtime.redaction import PLACEHOLDER, Redaction
from agent_runtime.settings import Settings
from fakes.agents import config
from fakes.echo import Echo
from fakes.processes import DEADLINE, program, start
from fakes.serving import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL_KEY = "sk-marked-1-model"
TOOL_TOKEN = "marked-2-tool/+="  # noqa: S105 - a mark
TOOL_KEY = "marked-9-tool/+="
MONGODB_PASSWORD = "marked-3-p@ss/word"  # noqa: S105
VARIABLE = "marked-4-variable"
URL_PASSWORD = "marked-5-billing"  # noqa: S105
CALLER_KEY = "marked-6-caller-key-of-desk"
WRONG_KEY = "marked-7-wrong-key-of-nobody"
COOKIE = "marked-8-cookie"
ALL = (MODEL_KEY, TOOL_TOKEN, TOOL_KEY, MONGODB_PASSWORD, VARIABLE, URL_PASSWORD, CALLER_KEY, WRONG_KEY, COOKIE)
FORMS = {form for mark in ALL for form in (mark, quote(mark, safe=""))}

AUTH = {"apiKeys": {"secretRef": {"name": "apm-callers"}}}
STATE = {"mongodb": {"uriSecretRef": {"name": "db", "key": "uri"}}}


@contextmanager
def echoing() -> Iterator[Echo]:
    """The careless service, in a thread of its own."""
    listener, port = free_port()
    it = Echo(f"http://127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(it.app(), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield it
    finally:
        server.should_exit = True
        thread.join(DEADLINE)
        listener.close()


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """The variables of a pod whose mounted Secrets and variables are all marked."""
    files = {
        "secrets/llm/key": MODEL_KEY,
        "secrets/crm/token": f"{TOOL_TOKEN}\n",
        "secrets/crm/api-key": f"{TOOL_KEY}\n",
        "secrets/db/uri": f"mongodb://me:{quote(MONGODB_PASSWORD, safe='')}@127.0.0.1:9/",
        "keys/desk": CALLER_KEY,
    }
    for name, value in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    return {
        "APM_SECRETS_DIR": str(tmp_path / "secrets"),
        "APM_API_KEYS_DIR": str(tmp_path / "keys"),
        "LEAKED_FOLDER": str(tmp_path),
        "CRM_PASSWORD": VARIABLE,
        "BILLING_URL": f"https://me:{URL_PASSWORD}@billing.example/",
    }


def spec(url: str, status: int) -> dict[str, Any]:
    """A workflow that asks a model, which calls a tool, both of which say back what they were sent."""
    return {
        "models": [
            {
                "name": "default",
                "model": "m",
                "baseURL": f"{url}/{status}/v1",
                "apiKeySecretRef": {"name": "llm", "key": "key"},
                "maxAttempts": 2,
            }
        ],
        "workflow": {
            "state": {"messages": {"type": "messages"}, "status": {"type": "any"}},
            "start": ["ask", "look"],
            "nodes": [
                {"name": "ask", "uses": "model", "retry": {"attempts": 2, "initial": "1ms", "errors": ["Any"]}},
                {"name": "look", "uses": "tool", "with": {"tool": "crm", "save": "status"}},
            ],
            "tools": [
                {
                    "name": "crm",
                    "http": {
                        "url": f"{url}/{status}/crm",
                        "bearerTokenSecretRef": {"name": "crm", "key": "token"},
                        "apiKeySecretRef": {"name": "crm", "key": "api-key"},
                        "maxAttempts": 2,
                    },
                }
            ],
        },
        "auth": AUTH,
    }


def everything(url: str, body: dict[str, Any]) -> str:
    """What an agent answers wherever it can be asked, heads included, and how it refuses."""
    told: list[str] = []
    headers = {"x-api-key": CALLER_KEY, "cookie": f"session={COOKIE}"}
    with httpx.Client(base_url=url, timeout=30, headers=headers) as http:

        def ask(method: str, path: str, **more: Any) -> httpx.Response:
            answer = http.request(method, path, **more)
            told.append(f"{method} {path}: {answer.status_code} {answer.headers} {answer.text}")
            return answer

        made = ask("POST", "/threads", json={})
        thread = made.json().get("thread_id", "none")
        run = {"assistant_id": "agent", "input": body}
        modes = ["values", "updates", "messages-tuple", "debug", "tasks", "checkpoints"]
        ask("POST", f"/threads/{thread}/runs/wait", json=run)
        ask("POST", f"/threads/{thread}/runs/stream", json={**run, "stream_mode": modes})
        ask("POST", "/runs/wait", json=run)
        for path in ("", "/state", "/runs"):
            ask("GET", f"/threads/{thread}{path}")
        ask("POST", f"/threads/{thread}/history", json={"limit": 100})
        ask("POST", "/threads/search", json={})
        ask("POST", "/assistants/search", json={})
        paths = ("/assistants/agent", "/assistants/agent/graph", "/assistants/agent/schemas", "/info")
        for path in (*paths, "/readyz", "/livez", "/metrics", "/nothing"):
            ask("GET", path)
        wrong = {"x-api-key": WRONG_KEY}
        ask("POST", "/threads", json={}, headers=wrong)
        ask("POST", "/threads", json={}, headers={"x-api-key": "", "authorization": f"Bearer {WRONG_KEY}"})
        ask("POST", "/threads", content=b"{", headers={"content-type": WRONG_KEY})
    return "\n".join(told)


def marks(text: str) -> list[str]:
    """Where marks stand, with what is around them."""
    found = (text.find(form) for form in FORMS)
    return [text[max(0, at - 100) : at + 60] for at in found if at >= 0]


@pytest.mark.parametrize("status", [200, 302, 401, 500])
def test_services_that_say_back_what_they_were_sent(tmp_path, pod, status):
    with echoing() as service, program(tmp_path, config(spec(service.url, status)), **pod) as it:
        told = everything(it.url, {"messages": [{"role": "user", "content": "hello"}]})
    assert marks(told) == []
    assert marks(it.output) == []
    sent = "\n".join(service.authorizations)
    assert MODEL_KEY in sent, "the secrets were used"
    assert TOOL_TOKEN in sent
    assert TOOL_KEY in sent
    if status == 200:
        assert f"Bearer {PLACEHOLDER}" in told


def test_a_graph_that_quotes_its_secrets(tmp_path, pod):
    own = {"graph": "fakes.leaky:graph", "auth": AUTH}
    with program(tmp_path, config(own), **pod) as it:
        told = everything(it.url, {"text": "a person"})
    assert marks(told) == []
    assert marks(it.output) == []
    assert f"can't reach {PLACEHOLDER}" in told, "the rest of the message is told"


def test_a_graph_that_quotes_its_secrets_when_it_is_loaded(tmp_path, pod):
    text = config({"graph": "fakes.leaky:graph", "auth": AUTH}).model_dump_json(by_alias=True, exclude_none=True)
    with start(tmp_path, text, 0, **pod, LEAKED_AT_START="true") as process:
        out, err = process.communicate(timeout=DEADLINE)
    told = (tmp_path / "termination-log").read_text()
    assert process.returncode == 1
    assert f"can't reach {PLACEHOLDER}" in told
    assert marks(told + out + err) == []


@pytest.mark.parametrize("uri", [None, "mongodb://me:{}@a:99999", "{}"])
def test_a_database_that_does_not_answer(tmp_path, pod, uri):
    if uri is not None:
        (tmp_path / "secrets" / "db" / "uri").write_text(uri.format(MONGODB_PASSWORD))
    listener, port = free_port()
    listener.close()
    given = {**spec("http://127.0.0.1:9", 200), "state": STATE}
    text = config(given).model_dump_json(by_alias=True, exclude_none=True)
    url = f"http://127.0.0.1:{port}"
    with start(tmp_path, text, port, **pod) as process:
        deadline = time.monotonic() + DEADLINE
        while "MongoDB" not in (told := _readiness(url)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        told += everything(url, {})
        process.terminate()
        out, err = process.communicate(timeout=DEADLINE)
    assert marks(told + out + err) == []


def _readiness(url: str) -> str:
    try:
        return httpx.get(f"{url}/readyz").text
    except httpx.TransportError:
        return ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing here", "nothing here"),
        (f"key {MODEL_KEY}!", "key [redacted]!"),
        (f"b'{TOOL_TOKEN}'", "b'[redacted]'"),
        (f"mongodb://me:{quote(MONGODB_PASSWORD, safe='')}@127.0.0.1:9/", "[redacted]"),
        (f"password {MONGODB_PASSWORD} and {quote(MONGODB_PASSWORD, safe='')}", "password [redacted] and [redacted]"),
        ("short", "short"),
    ],
)
@pytest.mark.usefixtures("pod")
def test_redaction_knows_the_forms_of_a_secret(tmp_path, text, expected):
    (tmp_path / "secrets" / "llm" / "tiny").write_text("short")
    assert Redaction((tmp_path / "secrets",))(text) == expected


def test_the_pods_own_key_and_token_are_redacted(tmp_path, monkeypatch):
    for name in ("tls.key", "token"):
        (tmp_path / name).write_text(f"-----BEGIN {name}-----\nmarked-{name}\n")
    monkeypatch.setattr(settings, "_TOKEN", tmp_path / "token")
    redact = Settings(tls_dir=tmp_path).redaction
    for name in ("tls.key", "token"):
        assert redact(f"{(tmp_path / name).read_text()!r}") == "'[redacted]\\n'"


def test_redaction_reads_a_secret_that_was_changed(tmp_path):
    redact = Redaction((tmp_path,))
    assert redact("a new-secret") == "a new-secret"
    (tmp_path / "key").write_text("new-secret")
    assert redact("a new-secret") == "a [redacted]"
