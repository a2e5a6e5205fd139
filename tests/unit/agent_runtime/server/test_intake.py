"""Clients that hold connections, or send without end, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import httpx
import pytest

from agent_runtime.server import connection, intake
from fakes.agents import CHAT, ECHO, person, running
from fakes.authority import Authority, client_context, pod

SPEC = {"models": [ECHO], "workflow": CHAT}
SLOW = {
    "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "hi", "delay": "4s"}]}],
    "workflow": CHAT,
}
POST = b"POST /threads HTTP/1.1\r\nhost: it\r\ncontent-length: 1000\r\n\r\n"


@pytest.fixture
async def agent(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(intake, "BODY_SECONDS", 1.0)
    async with running(SPEC) as it:
        yield it


class Client:
    """A client that writes what it wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, url: str) -> Client:
        address = httpx.URL(url)
        return cls(*await asyncio.open_connection(address.host, address.port))

    async def drip(self, head: bytes, piece: bytes = b"x") -> bytes:
        """Send a head, and then a piece ten times a second until the server has had enough; what it answered."""
        self.writer.write(head)
        answer = asyncio.create_task(self.rest())
        while not answer.done():
            self.writer.write(piece)
            await asyncio.wait({answer}, timeout=0.1)
        return answer.result()

    async def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        try:
            async with asyncio.timeout(15):
                return await self.reader.read()
        except ConnectionError:
            return b""
        finally:
            self.writer.close()


@pytest.mark.parametrize(
    ("head", "piece", "status"),
    [
        (b"", b"", b""),
        (b"GET /livez HTTP/1.1\r\nx-long: ", b"x", b""),
        (b"GET /livez HTTP/1.1\r\n", b"a: b\r\n", b""),
        (POST, b" ", b"408"),
        (POST.replace(b"content-length: 1000", b"transfer-encoding: chunked"), b"1\r\n \r\n", b"408"),
        (POST.replace(b"/threads", b"/livez"), b" ", b"405"),
        (POST.replace(b"POST /threads", b"GET /info"), b" ", b"200"),
    ],
    ids=["nothing", "a line of a head", "a head", "a body", "a body of pieces", "a refused body", "a body of a GET"],
)
async def test_who_takes_too_long_is_put_out(agent, head, piece, status):
    begin = time.monotonic()
    answer = await (await Client.of(agent.url)).drip(head, piece)
    assert time.monotonic() - begin < 5
    assert answer.partition(b"\r\n")[0].startswith(b"HTTP/1.1 " + status if status else b"")
    assert status or not answer


async def test_a_slow_answer_is_no_slow_client(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    async with running(SLOW) as slow:
        values = await slow.client.runs.wait(None, "agent", input=person("hello"))
    assert values["messages"][-1]["content"] == "hi"


async def test_a_client_that_comes_back_keeps_its_connection(agent):
    client = await Client.of(agent.url)
    for _ in range(3):
        client.writer.write(b"GET /livez HTTP/1.1\r\nhost: it\r\n\r\n")
        head = await client.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        assert json.loads(await client.reader.readexactly(length)) == {"status": "live"}
        await asyncio.sleep(0.6)  # together longer than a head may take
    client.writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nhost: it\r\nx-long: " + b"x" * 70_000,
        b"GET /livez?" + b"x" * 70_000,
        b"GET /livez HTTP/1.1\r\nhost: it\r\n" + b"a: b\r\n" * 12_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: it\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"GET /livez HTTP/1.1\r\nhost: it\r\nx: a\0b\r\n\r\n",
    ],
    ids=["long header", "long query", "many headers", "no HTTP", "two content lengths", "zero byte"],
)
async def test_a_head_that_is_none_is_refused(agent, head):
    client = await Client.of(agent.url)
    client.writer.write(head)
    answer = await client.rest()
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


@pytest.mark.parametrize(
    ("path", "version", "length"),
    [("/threads", "1.1", "content-length: 5\r\n"), ("/livez", "1.1", "content-length: 5\r\n"), ("/threads", "1.0", "")],
)
async def test_a_request_whose_end_is_in_doubt_is_refused_with_its_connection(agent, path, version, length):
    client = await Client.of(agent.url)
    head = f"POST {path} HTTP/{version}\r\nhost: it\r\n{length}transfer-encoding: chunked\r\n\r\n"
    client.writer.write(head.encode() + b"0\r\n\r\nGET /livez HTTP/1.1\r\nhost: it\r\n\r\n")
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1 ") == 1, "what follows is no request"


async def test_an_endless_body_is_refused(agent):
    head = POST.replace(b"content-length: 1000", b"transfer-encoding: chunked")
    answer = await (await Client.of(agent.url)).drip(head, b"40000\r\n" + b" " * 0x40000 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_an_answer_reaches_a_client_that_goes_on_sending(monkeypatch, tmp_path, tls):
    """Its data lies unread when the server ends the connection, which must not reset it."""
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.2)
    authority = Authority()
    mounts = pod(tmp_path / "pod", authority, "tested") if tls else None
    context = client_context(authority, tmp_path) if tls else None
    async with running({**SPEC, "auth": {"anonymous": True}}, mounts=mounts) as it:
        address = httpx.URL(it.url)
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        writer.write(POST.replace(b"content-length: 1000", b"content-length: 900000"))
        for _ in range(8):
            writer.write(b" " * 100_000)
            await asyncio.sleep(0.05)
        began = time.monotonic()
        assert (await reader.read(12)) == b"HTTP/1.1 408"
        with contextlib.suppress(ConnectionError):  # in the end the server has enough of it
            await reader.read()
        assert time.monotonic() - began < 10
        writer.close()


async def test_too_large_a_body_is_refused(agent):
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{agent.url}/threads", content=b" " * ((1 << 20) + 1))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body is larger than 1048576 bytes"


async def test_all_bodies_together_have_a_limit(agent, monkeypatch):
    monkeypatch.setattr(intake, "BUFFERED_BYTES", 2000)
    clients = [await Client.of(agent.url) for _ in range(4)]
    for client in clients:
        client.writer.write(POST + b" " * 900)
    answers = await asyncio.gather(*(client.rest() for client in clients))
    statuses = sorted(answer[9:12] for answer in answers)
    assert statuses == [b"408", b"408", b"503", b"503"]
    assert b"retry-after: 1" in b"".join(answers)
    thread = await agent.client.threads.create()
    assert thread["thread_id"], "what was held was given back"


async def test_idle_connections_make_room_for_new_ones(agent, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 30.0)
    monkeypatch.setattr(connection, "MOST", 20)
    clients = [await Client.of(agent.url) for _ in range(60)]
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{agent.url}/livez")).status_code == 200
    ended = [client.reader.at_eof() or client.reader.exception() is not None for client in clients]
    assert sum(ended) >= 40
    assert not any(ended[-15:]), "the oldest went first"
    for client in clients:
        client.writer.close()


async def test_more_requests_than_a_pod_can_serve_are_refused_but_no_probe(tmp_path):
    key = "anne-" + "a" * 16
    (tmp_path / "anne").write_text(key)
    spec = {**SLOW, "auth": {"anonymous": True, "apiKeys": {"secretRef": {"name": "keys"}}}}
    async with running(spec, max_requests=4, api_keys_dir=tmp_path) as it, httpx.AsyncClient(timeout=20) as http:
        turn = {"assistant_id": "agent", "input": person("hi")}
        callers: list[dict[str, str]] = [{"x-api-key": key}, {"x-api-key": key}, {}, {}]
        waiting = [
            asyncio.create_task(http.post(f"{it.url}/runs/wait", json=turn, headers=headers)) for headers in callers
        ]
        deadline = time.monotonic() + 10
        while (refused := await http.get(f"{it.url}/info")).status_code != 503:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        for probe in ("/livez", "/readyz"):
            assert (await http.get(it.url + probe)).status_code == 200
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 4
        assert (await http.get(f"{it.url}/info")).status_code == 200


async def test_one_caller_leaves_room_for_others(tmp_path):
    keys = {"anne": "anne-" + "a" * 16, "bert": "bert-" + "b" * 16}
    for name, key in keys.items():
        (tmp_path / name).write_text(key)
    spec = {**SLOW, "auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}
    turn = {"assistant_id": "agent", "input": person("hi")}
    async with running(spec, max_requests=10, api_keys_dir=tmp_path) as it, httpx.AsyncClient(timeout=20) as http:

        def ask(name: str) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(http.post(f"{it.url}/runs/wait", json=turn, headers={"x-api-key": keys[name]}))

        async def look(name: str) -> httpx.Response:
            return await http.get(f"{it.url}/info", headers={"x-api-key": keys[name]})

        async def refused(name: str) -> httpx.Response:
            deadline = time.monotonic() + 3
            while (answer := await look(name)).status_code != 429:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            return answer

        of_anne = [ask("anne") for _ in range(9)]
        answer = await refused("anne")
        assert answer.headers["retry-after"] == "1"
        assert "9 of your requests are being answered" in answer.json()["detail"]
        assert (await look("bert")).status_code == 200
        of_bert = ask("bert")
        assert {answer.status_code for answer in await asyncio.gather(*of_anne, of_bert)} == {200}
        of_bert, of_anne = ask("bert"), [ask("anne") for _ in range(5)]
        assert "5 of your requests" in (await refused("anne")).json()["detail"], "less among others"
        assert {answer.status_code for answer in await asyncio.gather(*of_anne, of_bert)} == {200}
