"""What each proof gives access to, over real sockets."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog

from agent_runtime.agent import Agent
from agent_runtime.errors import ConfigError
from agent_runtime.server.app import build_app
from agent_runtime.server.authentication import OPEN
from agent_runtime.settings import Settings
from agent_runtime.spec.identity import OPERATOR_URI, SCRAPER_URI, agent_uri
from fakes.agents import CHAT, ECHO, config, person, running
from fakes.authority import Authority, client_context, pod, swap
from fakes.issuer import ISSUER, issuing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fakes.agents import RunningAgent

SPEC = {"models": [ECHO], "workflow": CHAT}
ALICE, BOB = "alices-very-secret-key", "bobs-very-secret-key-too"
KEYS = {"apiKeys": {"secretRef": {"name": "callers"}}}
CALLER = agent_uri("tests", "caller")


@asynccontextmanager
async def _served(folder: Path, **auth: Any) -> AsyncIterator[RunningAgent]:
    """An agent without TLS that takes the given proofs."""
    swap(folder / "keys", {"alice": ALICE, "bob": BOB})
    async with running({**SPEC, "auth": auth}, api_keys_dir=folder / "keys") as it:
        yield it


async def _ask(it: RunningAgent, path: str = "/info", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(it.url + path, headers={name.replace("_", "-"): text for name, text in headers.items()})


async def test_without_a_proof_the_answer_is_401_and_says_what_is_asked_for(tmp_path):
    async with _served(tmp_path, **KEYS) as it:
        answer = await _ask(it)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="tests/tested"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Unauthorized"
    assert "a token or an API key" in answer.json()["detail"]


async def test_every_path_but_the_probes_asks_for_proof(tmp_path):
    agent = Agent(config({**SPEC, "auth": KEYS}), Settings(api_keys_dir=tmp_path))
    paths = {(route.path, method) for route in build_app(agent).routes for method in route.methods}  # type: ignore[attr-defined]
    await agent.close()
    assert len(paths) > 30
    async with _served(tmp_path, **KEYS) as it, httpx.AsyncClient(base_url=it.url) as http:
        for path, method in [*sorted(paths), ("/", "GET"), ("/nothing", "GET"), ("/livez/", "GET"), ("//livez", "GET")]:
            if path in OPEN or path == "/metrics" or (method, path) == ("OPTIONS", "/events"):
                continue
            filled = path.replace("{", "").replace("}", "")
            answer = await http.request(method, filled, content=b"{}")
            assert answer.status_code == 401, (method, path)
        for path in OPEN:
            assert (await http.get(path)).status_code == 200
        assert (await http.options("/events")).status_code == 404, "this agent takes no events"


async def test_an_api_key_in_either_header(tmp_path):
    async with _served(tmp_path, **KEYS) as it:
        assert (await _ask(it, x_api_key=ALICE)).status_code == 200
        assert (await _ask(it, authorization=f"Bearer {BOB}")).status_code == 200
        assert (await _ask(it, authorization=f"bearer   {BOB}")).status_code == 200
        for wrong in ({"x_api_key": "x" * 20}, {"authorization": "Bearer x"}, {"x_api_key": "a" * 10_000}):
            answer = await _ask(it, **wrong)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].endswith(', error="invalid_token"')
        assert (await _ask(it, authorization=f"Basic {ALICE}")).status_code == 401
        swap(tmp_path / "keys", {"alice": "another-key-of-alice"})
        assert (await _ask(it, x_api_key=ALICE)).status_code == 401
        assert (await _ask(it, x_api_key="another-key-of-alice")).status_code == 200


async def test_a_wrong_proof_is_no_anonymous_caller(tmp_path):
    async with _served(tmp_path, anonymous=True, **KEYS) as it:
        assert (await _ask(it)).status_code == 200
        assert (await _ask(it, x_api_key="x" * 20)).status_code == 401
    async with _served(tmp_path, anonymous=True) as it:  # keys are asked for by nobody
        assert (await _ask(it, x_api_key="x" * 20)).status_code == 200


async def test_a_token_of_an_issuer(tmp_path):
    async with issuing("ES256") as issuer:
        spec = {"issuer": ISSUER, "jwksURL": issuer.url, "audiences": ["apm"]}
        async with _served(tmp_path, jwt=[spec]) as it:
            assert (await _ask(it, authorization=f"Bearer {issuer.token('ES256')}")).status_code == 200
            late = await _ask(it, authorization=f"Bearer {issuer.token('ES256', exp=1)}")
            assert (late.status_code, late.json()["detail"]) == (401, "the token is refused: it has ended")
            strange = issuer.token("ES256", iss="https://other.example.com")
            assert (await _ask(it, authorization=f"Bearer {strange}")).status_code == 401
            assert (await _ask(it, x_api_key=issuer.token("ES256"))).status_code == 401
        issuer.status = 500
        async with _served(tmp_path, jwt=[spec]) as it:
            away = await _ask(it, authorization=f"Bearer {issuer.token('ES256')}")
            assert (away.status_code, away.headers["retry-after"]) == (503, "5")


async def test_agents_by_their_certificates(tmp_path):
    authority = Authority()
    mounts = pod(tmp_path / "pod", authority, "tested", callers=("tests/caller",))
    expected = {
        (): (401, 401),
        (CALLER,): (200, 403),
        (agent_uri("tests", "stranger"),): (403, 403),
        (agent_uri("elsewhere", "caller"),): (403, 403),
        (OPERATOR_URI,): (403, 403),
        (SCRAPER_URI,): (403, 200),
        (CALLER, SCRAPER_URI): (401, 401),
    }
    async with running(SPEC, mounts=mounts) as it:
        for uris, codes in expected.items():
            async with httpx.AsyncClient(verify=client_context(authority, tmp_path, *uris)) as http:
                info, metrics = await http.get(f"{it.url}/info"), await http.get(f"{it.url}/metrics")
                assert (info.status_code, metrics.status_code) == codes, uris
                assert (await http.get(f"{it.url}/readyz")).status_code == 200
            if not uris:
                assert info.headers["www-authenticate"] == 'Mutual-TLS realm="tests/tested"'
        async with httpx.AsyncClient(verify=client_context(authority, tmp_path, CALLER)) as http:
            assert (await http.get(f"{it.url}/info")).status_code == 200
            mounts.allow(authority, callers=())
            assert (await http.get(f"{it.url}/info")).status_code == 403


async def test_a_key_counts_before_the_certificate(tmp_path):
    authority = Authority()
    swap(tmp_path / "keys", {"alice": ALICE})
    mounts = pod(tmp_path / "pod", authority, "tested")
    async with (
        running({**SPEC, "auth": KEYS}, mounts=mounts, api_keys_dir=tmp_path / "keys") as it,
        httpx.AsyncClient(verify=client_context(authority, tmp_path, CALLER)) as http,
    ):
        assert (await http.get(f"{it.url}/info", headers={"x-api-key": ALICE})).status_code == 200
        assert (await http.get(f"{it.url}/info")).status_code == 403


async def test_who_called_is_told_in_records_logs_and_metrics(tmp_path):
    async with _served(tmp_path, **KEYS) as it:
        with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
            body = {"assistant_id": "agent", "input": person("hi"), "metadata": {"ticket": 1}}
            async with httpx.AsyncClient(base_url=it.url, headers={"x-api-key": ALICE}) as http:
                thread = (await http.post("/threads", json={"metadata": {"a": 1}})).json()
                run = (await http.post(f"/threads/{thread['thread_id']}/runs", json=body)).json()
                await http.get(f"/threads/{thread['thread_id']}/runs/{run['run_id']}/join")
                refused = await http.patch(f"/threads/{thread['thread_id']}", json={"metadata": {"apm_caller": {}}})
        alice = {"account": "alice", "method": "apiKey"}
        assert thread["metadata"] == {"a": 1, "apm_caller": alice}
        assert run["metadata"] == {"ticket": 1, "apm_caller": alice}
        stored = (await it.agent.store.threads(query=_all()))[0]
        assert stored.owner == "apiKey|alice"
        assert (refused.status_code, "names that begin with apm_" in refused.text) == (422, True)
        ended = next(line for line in logs if line["event"] == "run ended")
        assert {**ended, **alice, "thread_id": thread["thread_id"]} == ended
        metrics = (await _ask(it, "/metrics")).text
        assert 'apm_agent_authenticated_requests_total{method="apiKey"}' in metrics
        assert "alice" not in metrics
        await _ask(it)
        assert 'apm_agent_refused_requests_total{code="401"} 1.0' in (await _ask(it, "/metrics")).text


async def test_no_key_or_token_is_logged(tmp_path):
    async with _served(tmp_path, **KEYS) as it:
        with structlog.testing.capture_logs() as logs:
            for wrong in (ALICE + "x", "another-secret-of-mine"):
                await _ask(it, x_api_key=wrong)
                await _ask(it, authorization=f"Bearer {wrong}")
    told = json.dumps(logs)
    assert len(logs) >= 4
    assert ALICE not in told
    assert "another-secret" not in told


def test_accounts_of_the_cluster_need_tls():
    auth = {"serviceAccounts": {"allow": ["shop/*"]}}
    with pytest.raises(ConfigError, match="needs TLS"):
        Agent(config({**SPEC, "auth": auth}, tokenReviewUrl="https://operator/"), Settings())


def _all() -> Any:
    from agent_runtime.state.records import ThreadQuery  # noqa: PLC0415

    return ThreadQuery()
