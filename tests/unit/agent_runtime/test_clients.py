from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agent_runtime import outbound
from agent_runtime.clients import Clients
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.metrics import Metrics
from agent_runtime.resilience.assembly import Resilience
from agent_runtime.spec.identity import agent_uri
from agent_runtime.tls.contexts import uri_of
from agent_runtime.tls.material import Material
from agent_runtime.workflow.build import build_graph
from fakes.agents import CHAT, ECHO, config, person, running
from fakes.authority import Authority, pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ASK = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "other"}, "next": "end"}]}
OTHER = agent_uri("tests", "other")


@asynccontextmanager
async def _server(folder: Path, authority: Authority, *uris: str) -> AsyncIterator[tuple[str, list[str | None]]]:
    """A server with a certificate that names the URIs; gives its address, and who called it with what certificate."""
    certificate, key = authority.issue(uris)
    (folder / "server.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    seen: list[str | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        seen.append(uri_of(writer.get_extra_info("ssl_object").getpeercert()))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seen


@asynccontextmanager
async def _clients(folder: Path, authority: Authority) -> AsyncIterator[Clients]:
    mounts = pod(folder / "calling", authority, "calling")
    clients = Clients(Material.mounted(mounts.tls, mounts.trust))
    yield clients
    await clients.close()


async def _call(clients: Clients, url: str, uri: str = OTHER) -> bytes:
    http = clients.to(url, uri)
    assert http is not None
    return await outbound.request(http, "GET", url, what="agent other", timeout=5, headers={})


async def test_an_agent_shows_its_certificate_to_another_one(tmp_path):
    authority = Authority()
    async with _server(tmp_path, authority, OTHER) as (url, seen), _clients(tmp_path, authority) as clients:
        assert await _call(clients, url) == b"hi"
    assert seen == [agent_uri("tests", "calling")]


@pytest.mark.parametrize(
    ("uris", "found"),
    [
        ((), "of nobody"),
        ((agent_uri("tests", "third"),), agent_uri("tests", "third")),
        ((agent_uri("elsewhere", "other"),), agent_uri("elsewhere", "other")),
        ((OTHER, agent_uri("tests", "third")), "of nobody"),
    ],
)
async def test_a_server_with_another_identity_is_sent_nothing(tmp_path, uris, found):
    authority = Authority()
    async with _server(tmp_path, authority, *uris) as (url, seen), _clients(tmp_path, authority) as clients:
        with pytest.raises(CallError, match=found) as caught:
            await _call(clients, url)
    assert caught.value.kind == CallErrorKind.CONNECTION
    assert seen == []


async def test_a_server_of_another_host_is_sent_nothing(tmp_path):
    authority = Authority()
    async with _server(tmp_path, authority, OTHER) as (url, seen), _clients(tmp_path, authority) as clients:
        with pytest.raises(CallError, match="certificate is refused"):
            await _call(clients, url.replace("127.0.0.1", "localhost"))
    assert seen == []


async def test_a_server_of_a_foreign_authority_is_sent_nothing(tmp_path):
    async with _server(tmp_path, Authority(), OTHER) as (url, seen), _clients(tmp_path, Authority()) as clients:
        with pytest.raises(CallError, match="certificate is refused"):
            await _call(clients, url)
    assert seen == []


async def test_models_and_tools_are_shown_no_certificate(tmp_path, monkeypatch):
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with _server(tmp_path, authority) as (url, seen), _clients(tmp_path, authority) as clients:
        await outbound.request(clients.http, "GET", url, what="tool t", timeout=5, headers={})
    assert seen == [None]


async def test_agents_talk_by_mutual_tls(tmp_path):
    authority = Authority()
    theirs = pod(tmp_path / "theirs", authority, "other", callers=("tests/asking",))
    ours = pod(tmp_path / "ours", authority, "asking")
    async with running({"models": [ECHO], "workflow": CHAT}, name="other", mounts=theirs) as other:
        clients = Clients(Material.mounted(ours.tls, ours.trust))
        agent = config({"workflow": ASK}, name="asking", peers={"other": other.url})
        graph = build_graph(agent, clients, outbound.Secrets(tmp_path), Resilience(Metrics().resilience))
        values = await graph.ainvoke(person("hello"), {"configurable": {"thread_id": "t"}})
        await clients.close()
    assert values["messages"][-1].content == "You said: hello"


async def test_an_agent_that_is_not_let_in_learns_what_to_set(tmp_path):
    authority = Authority()
    theirs, ours = pod(tmp_path / "theirs", authority, "other", callers=()), pod(tmp_path / "ours", authority, "asking")
    async with running({"models": [ECHO], "workflow": CHAT}, name="other", mounts=theirs) as other:
        clients = Clients(Material.mounted(ours.tls, ours.trust))
        agent = config({"workflow": ASK}, name="asking", peers={"other": other.url})
        graph = build_graph(agent, clients, outbound.Secrets(tmp_path), Resilience(Metrics().resilience))
        with pytest.raises(
            CallError, match=r"\(403\): .*name this agent in `spec.network.ingressFrom` of other"
        ) as caught:
            await graph.ainvoke(person("hello"), {"configurable": {"thread_id": "t"}})
        await clients.close()
    assert caught.value.kind is CallErrorKind.AUTHENTICATION


async def test_an_agent_that_asks_for_proof_without_tls_says_so(tmp_path):
    secret = tmp_path / "keys"
    secret.mkdir()
    (secret / "desk").write_text("a-key-of-16-characters")
    closed = {"models": [ECHO], "workflow": CHAT, "auth": {"apiKeys": {"secretRef": {"name": "callers"}}}}
    async with (
        running(closed, name="other", api_keys_dir=secret) as other,
        running({"workflow": ASK}, peers={"other": other.url}) as it,
    ):
        values = await it.client.runs.wait(None, "agent", input=person("hello"), raise_error=False)
    assert (
        "(401): agents prove who they are by TLS, and other has `tls.mode: Disabled`" in values["__error__"]["message"]
    )


async def test_an_agent_without_a_certificate_says_so():
    async with running({"workflow": ASK}, peers={"other": "https://127.0.0.1:9"}) as it:
        values = await it.client.runs.wait(None, "agent", input=person("hello"), raise_error=False)
    assert "this agent has no certificate" in values["__error__"]["message"]
