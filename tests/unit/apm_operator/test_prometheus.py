import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from apm_operator.prometheus import Prometheus, Source, SourceError

Answer = Callable[[web.Request], web.Response]


class Server:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.status = 200
        self.body: bytes = b""
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((request.path, form, request.headers.get("Authorization", "")))
        return web.Response(status=self.status, body=self.body, content_type="application/json")

    def result(self, *series: object) -> None:
        self.body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def prometheus(server: Server, tmp_path) -> AsyncIterator[Prometheus]:
    (tmp_path / "token").write_text("secret\n")
    made = Prometheus(Source(f"{server.url}/prefix/", str(tmp_path / "token")))
    yield made
    await made.close()


async def test_a_moment(server: Server, prometheus: Prometheus):
    server.result({"metric": {"agent": "a"}, "value": [1700000000.5, "3.25"]})
    (found,) = await prometheus.instant("up", 1700000000.5)
    assert (found.labels, found.samples) == ({"agent": "a"}, ((1700000000.5, 3.25),))
    assert server.asked == [("/prefix/api/v1/query", {"query": "up", "time": "1700000000.500"}, "Bearer secret")]


async def test_a_token_that_is_no_text_is_told_without_it(server: Server, tmp_path):
    (tmp_path / "token").write_bytes(b"hidden\xff")
    prometheus = Prometheus(Source(server.url, str(tmp_path / "token")))
    with pytest.raises(SourceError, match="token") as caught:
        await prometheus.instant("up", 1.0)
    await prometheus.close()
    assert "hidden" not in str(caught.value)
    assert server.asked == []


async def test_a_stretch_of_time(server: Server, prometheus: Prometheus):
    server.result({"metric": {}, "values": [[900, "1"], [1800, "NaN"]]})
    (found,) = await prometheus.range("up", 900, 1800, 900)
    assert found.samples[0] == (900.0, 1.0)
    assert len(found.samples) == 2
    (asked,) = server.asked
    assert asked[:2] == (
        "/prefix/api/v1/query_range",
        {"query": "up", "start": "900.000", "end": "1800.000", "step": "900.000"},
    )


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (422, b'{"error": "parse error"}', "HTTP 422.*parse error"),
        (302, b"", "HTTP 302"),
        (200, b"<html>", "not one of Prometheus"),
        (200, b'{"data": {}}', "not one of Prometheus"),
        (200, b'{"data": {"result": 1}}', "not one of Prometheus"),
        (200, b'{"data": {"result": [{"metric": {}, "value": [1]}]}}', "not one of Prometheus"),
    ],
)
async def test_what_can_not_be_used_is_said(server: Server, prometheus: Prometheus, status, body, told):
    server.status, server.body = status, body
    with pytest.raises(SourceError, match=told):
        await prometheus.instant("up", 1.0)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Your account is locked: call 555-evil</html>",
        b'["evil"]',
        b'{"error": {"text": "evil"}}',
        b'{"error": ""}',
        b"[" * 100_000 + b"evil",
    ],
    ids=["page", "list", "object", "empty", "deep"],
)
async def test_nothing_of_a_page_is_quoted(server: Server, prometheus: Prometheus, body: bytes):
    server.status, server.body = 503, body
    with pytest.raises(SourceError) as caught:
        await prometheus.instant("up", 1.0)
    assert str(caught.value) == "query: HTTP 503"


async def test_an_error_of_prometheus_is_quoted_in_one_short_line(server: Server, prometheus: Prometheus):
    server.status = 422
    server.body = json.dumps({"status": "error", "error": "bad\n\x1b[31m \u202equery " + "x" * 500}).encode()
    with pytest.raises(SourceError) as caught:
        await prometheus.instant("up", 1.0)
    assert str(caught.value).startswith("query: HTTP 422: bad [31m query xxx")
    assert str(caught.value).endswith("xxx...")
    assert len(str(caught.value)) == len("query: HTTP 422: ") + 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"data": {"result": [{"metric": {}, "value": [1, "evil"]}]}}'],
    ids=["deep", "word"],
)
async def test_nothing_of_an_answer_that_is_none_is_quoted(server: Server, prometheus: Prometheus, body: bytes):
    server.body = body
    with pytest.raises(SourceError, match="not one of Prometheus") as caught:
        await prometheus.instant("up", 1.0)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("head", [b"evil header\r\n\r\n", b"X-Evil: evil\r\n"], ids=["malformed", "broken off"])
async def test_nothing_of_an_answer_that_is_not_http_is_quoted(head: bytes):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + head)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        prometheus = Prometheus(Source(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises(SourceError, match="not one of HTTP") as caught:
            await prometheus.instant("up", 1.0)
        await prometheus.close()
    assert "evil" not in str(caught.value)


async def test_nobody_is_there():
    prometheus = Prometheus(Source("http://127.0.0.1:1"))
    with pytest.raises(SourceError, match="query: "):
        await prometheus.instant("up", 1.0)
    await prometheus.close()


async def test_a_token_that_is_not_there_is_said(server: Server, tmp_path):
    prometheus = Prometheus(Source(server.url, str(tmp_path / "none")))
    with pytest.raises(SourceError, match="none"):
        await prometheus.instant("up", 1.0)
    await prometheus.close()
