import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent_runtime.spec.identity import OPERATOR_URI, agent_uri
from apm_operator import listener, tokenreview
from apm_operator.errors import Unreachable
from apm_operator.pki import certificates, holding
from apm_operator.pki.certificates import Pair, Subject
from apm_operator.tokenreview import TokenReviewServer
from unit.apm_operator.fakes import FakeKube

NOW = time.time()
HOST = "apm-operator.home.svc"
CLAIMS = base64.urlsafe_b64encode(json.dumps({"exp": 1_900_000_000}).encode()).decode().rstrip("=")
TOKEN = f"x.{CLAIMS}.y"


class Reviews(FakeKube):
    """A Kubernetes that knows one token."""

    answer: Any = None

    async def create(self, resource: Any, namespace: Any, body: dict[str, Any], *, gated: bool = True) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        assert (resource.kind, namespace, gated) == ("TokenReview", None, False)
        known = body["spec"]["token"] == TOKEN
        user = {"username": "system:serviceaccount:shop:clerk"}
        good = {"authenticated": True, "user": user, "audiences": body["spec"]["audiences"]}
        return {"status": self.answer or (good if known else {"authenticated": False})}


@pytest.fixture(scope="module")
def authority() -> Pair:
    return certificates.authority(NOW, 3600)


@pytest.fixture
def kube(authority) -> Reviews:
    found = Reviews()
    issue(found, authority)
    return found


def issue(kube: Reviews, authority: Pair) -> None:
    pair = certificates.sign(authority, Subject(OPERATOR_URI, (HOST,)), NOW, 600)
    kube.version += 1
    kube.objects["Secret", "home", "apm-operator-tls"] = {
        "kind": "Secret",
        "metadata": {"name": "apm-operator-tls", "resourceVersion": str(kube.version), "uid": "s"},
        **holding.content(pair, authority.certificate.decode()),
    }


@pytest.fixture
async def server(kube: Any) -> AsyncIterator[TokenReviewServer]:
    made = TokenReviewServer(kube, "home", "apm-operator-tls")
    await made.start("127.0.0.1", 0)
    await made._look()
    yield made
    await made.stop()


def client(folder: Path, authority: Pair, uri: str, by: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    if uri:
        pair = certificates.sign(by or authority, Subject(uri), NOW, 600)
        file = folder / "pair.pem"
        file.write_bytes(pair.certificate + pair.key)
        context.load_cert_chain(file)
    return context


async def ask(server: TokenReviewServer, context: ssl.SSLContext, body: Any) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"https://127.0.0.1:{server.port}/tokenreviews",
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            ssl=context,
            server_hostname=HOST,
        ) as response,
    ):
        return response.status, await response.json(content_type=None)


AGENT = agent_uri("shop", "one")
QUESTION = {"token": TOKEN, "audience": "apm"}


async def test_an_agent_learns_whose_token_it_is(server, authority, tmp_path):
    answer = await ask(server, client(tmp_path, authority, AGENT), QUESTION)
    assert answer == (
        200,
        {"authenticated": True, "user": "system:serviceaccount:shop:clerk", "expires": 1_900_000_000},
    )


@pytest.mark.parametrize(
    "status",
    [
        {"authenticated": False},
        {"authenticated": True, "user": {"username": "x"}},
        {"authenticated": True, "user": {"username": "x"}, "audiences": ["other"]},
    ],
    ids=["unknown", "no audience", "another audience"],
)
async def test_a_token_that_is_not_for_this_audience_is_no_proof(server, kube, authority, tmp_path, status):
    kube.answer = status
    assert await ask(server, client(tmp_path, authority, AGENT), QUESTION) == (200, {"authenticated": False})


@pytest.mark.parametrize("uri", ["spiffe://apm.valeo-neuroerp.com/scraper", "spiffe://elsewhere/ns/shop/agent/one"])
async def test_only_agents_may_ask(server, authority, tmp_path, uri):
    assert (await ask(server, client(tmp_path, authority, uri), QUESTION))[0] == 403


@pytest.mark.parametrize("foreign", [True, False], ids=["of another authority", "without"])
async def test_nobody_connects_without_a_certificate(server, authority, tmp_path, foreign):
    other = certificates.authority(NOW, 3600)
    context = client(tmp_path, authority, AGENT if foreign else "", by=other)
    with pytest.raises(aiohttp.ClientError):
        await ask(server, context, QUESTION)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": "x"}', b"{" + b"x" * 40_000, {**QUESTION, "more": 1}, {**QUESTION, "token": ""}]
)
async def test_what_is_no_question_is_refused(server, authority, tmp_path, body):
    status, problem = await ask(server, client(tmp_path, authority, AGENT), body)
    assert status == 400
    assert "token" in problem["detail"]


async def test_a_question_that_does_not_come_is_given_up(server, authority, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenreview, "BODY_SECONDS", 0.2)
    context = client(tmp_path, authority, AGENT)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname=HOST)
    writer.write(b"POST /tokenreviews HTTP/1.1\r\nhost: it\r\ncontent-length: 1000\r\n\r\n{")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The question was not there" in answer


async def test_an_address_holds_some_connections_and_others_get_in(server, authority, tmp_path, monkeypatch):
    monkeypatch.setattr(listener, "MOST_OF_ADDRESS", 3)
    context = client(tmp_path, authority, AGENT)

    async def begin(host: str) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(host, 0))
        writer.write(b"\x16")
        return writer

    held = [await begin("127.0.0.2") for _ in range(20)]
    assert (await ask(server, context, QUESTION))[0] == 200, "from 127.0.0.1"
    own = [await begin("127.0.0.1") for _ in range(20)]
    with pytest.raises(aiohttp.ClientError):
        await ask(server, context, QUESTION)
    for writer in (*held, *own):
        writer.close()
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await ask(server, context, QUESTION))[0] == 200
                break
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def test_who_says_nothing_holds_no_connection(server, authority, tmp_path, monkeypatch):
    monkeypatch.setattr(listener, "MOST_OF_ADDRESS", 1)
    silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
    assert (await ask(server, client(tmp_path, authority, AGENT), QUESTION))[0] == 200
    for _, writer in silent:
        writer.close()


async def test_a_handshake_that_does_not_end_is_given_up(kube, monkeypatch):
    monkeypatch.setattr(tokenreview, "_HANDSHAKE_SECONDS", 0.2)
    made = TokenReviewServer(kube, "home", "apm-operator-tls")
    await made.start("127.0.0.1", 0)
    await made._look()
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    writer.write(b"\x16")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await made.stop()


async def test_a_kubernetes_that_does_not_answer_is_no_answer(server, kube, authority, tmp_path):
    kube.answer = Unreachable("down")
    assert (await ask(server, client(tmp_path, authority, AGENT), QUESTION))[0] == 503


async def test_a_renewed_certificate_and_another_authority_are_taken_up(server, kube, authority, tmp_path):
    other = certificates.authority(NOW, 3600)
    issue(kube, other)
    await server._look()
    assert (await ask(server, client(tmp_path, other, AGENT), QUESTION))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await ask(server, client(tmp_path, authority, AGENT), QUESTION)


async def test_before_there_is_a_certificate_nobody_connects(kube, authority, tmp_path):
    made = TokenReviewServer(kube, "home", "apm-operator-tls")
    await made.start("127.0.0.1", 0)
    with pytest.raises((aiohttp.ClientError, asyncio.TimeoutError)):
        await ask(made, client(tmp_path, authority, AGENT), QUESTION)
    await made.stop()
