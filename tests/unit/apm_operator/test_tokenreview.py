import asyncio
import base64
import gc
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from agent_runtime.spec.identity import OPERATOR_URI, agent_uri
from apm_operator import listener, tokenreview
from apm_operator.errors import Unreachable
from apm_operator.pki import certificates, holding
from apm_operator.pki.certificates import Pair, Subject
from apm_operator.pki.foreign import Signers, readable
from apm_operator.tokenreview import TokenReviewServer
from unit.apm_operator.fakes import FakeKube

NOW = time.time()
# Certificates are real ones here, read by a real clock, and the module may be read an hour before it runs.
DAY = 24 * 3600
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
    return certificates.authority(NOW, DAY)


@pytest.fixture
def kube(authority) -> Reviews:
    found = Reviews()
    issue(found, authority)
    return found


def issue(kube: Reviews, authority: Pair, **signers: Pair | bytes) -> None:
    """The operator's Secret; `signers` are other authorities, by the namespace of the agent `one` that each serves."""
    known = Signers(lambda: NOW)
    for namespace, pair in signers.items():
        known.note(f"{namespace}/one", readable((pair if isinstance(pair, bytes) else pair.certificate).decode()))
    pair = certificates.sign(authority, Subject(OPERATOR_URI, (HOST,)), NOW, DAY)
    kube.version += 1
    kube.objects["Secret", "home", "apm-operator-tls"] = {
        "kind": "Secret",
        "metadata": {"name": "apm-operator-tls", "resourceVersion": str(kube.version), "uid": "s"},
        **holding.content(pair, authority.certificate.decode()),
    }
    told = base64.b64encode(known.text().encode()).decode()
    kube.objects["Secret", "home", "apm-operator-tls"]["data"]["signers.json"] = told


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
        pair = certificates.sign(by or authority, Subject(uri), NOW, DAY)
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
    other = certificates.authority(NOW, DAY)
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
    other = certificates.authority(NOW, DAY)
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


async def test_an_authority_counts_for_the_agents_that_it_signs_for(server, kube, authority, tmp_path):
    """Who holds that of one namespace passes for no agent of another, nor for those whom the operator signs for."""
    house, yard = (certificates.authority(NOW, DAY) for _ in range(2))
    issue(kube, authority, shop=house, yard=yard)
    await server._look()

    async def passes(uri: str, by: Pair) -> int:
        return (await ask(server, client(tmp_path, authority, uri, by=by), QUESTION))[0]

    assert await passes(AGENT, house) == 200
    assert await passes(AGENT, authority) == 200  # it may have just come from the operator's, or be on its way there
    assert await passes(agent_uri("yard", "one"), house) == 403
    assert await passes(agent_uri("shop", "two"), house) == 403
    assert await passes(OPERATOR_URI, house) == 403
    assert await passes(AGENT, yard) == 403

    issue(kube, authority, yard=yard)
    await server._look()
    with pytest.raises(aiohttp.ClientError):
        await passes(AGENT, house)


async def test_an_authority_that_looks_like_another_does_not_spoil_its_proof(server, kube, authority, tmp_path):
    house = certificates.authority(NOW, DAY)
    issue(kube, authority, a=alike(authority), b=alike(house), shop=house, z=alike(house), zz=alike(authority))
    await server._look()
    for by in (authority, house):
        assert (await ask(server, client(tmp_path, authority, AGENT, by=by), QUESTION))[0] == 200


def alike(pair: Pair) -> bytes:
    """An authority with the name and the key's identifier of another one."""
    found, key = x509.load_pem_x509_certificate(pair.certificate), ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(found.subject)
        .issuer_name(found.subject)
        .public_key(key.public_key())
        .serial_number(found.serial_number)
        .not_valid_before(found.not_valid_before_utc)
        .not_valid_after(found.not_valid_after_utc)
    )
    for extension in found.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


async def test_who_is_refused_often_may_come_back(server, kube, authority, tmp_path):
    """As an agent does whose issuer is not known yet."""
    house = certificates.authority(NOW, DAY)
    context = client(tmp_path, authority, AGENT, by=house)
    gc.disable()
    try:
        for _ in range(listener.MOST_OF_ADDRESS + 5):
            with pytest.raises(aiohttp.ClientError):
                await ask(server, context, QUESTION)
        issue(kube, authority, shop=house)
        await server._look()
        assert (await ask(server, context, QUESTION))[0] == 200
    finally:
        gc.enable()
