"""What KEDA, the scraper and the kubelet ask."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from apm_operator.activator import status
from apm_operator.activator.counts import Counts
from unit.apm_operator.activator.sockets import HERE, free_port

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
async def port(counts: Counts) -> AsyncIterator[int]:
    found = free_port()
    server = await status.listen(counts, found)
    yield found
    server.close()


async def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    """The status line and the body of the answer."""
    reader, writer = await asyncio.open_connection(HERE, port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], body


async def test_keda_reads_how_many_want_the_agent(port: int, counts: Counts):
    with counts.open():
        _, body = await ask(port, b"GET /connections HTTP/1.1\r\nHost: a\r\n\r\n")
    assert json.loads(body) == {status.VALUE: 1}


async def test_the_kubelet_and_the_scraper_get_their_answers(port: int, counts: Counts):
    for path in (b"/livez", b"/readyz"):
        assert await ask(port, b"GET " + path + b" HTTP/1.1\r\n\r\n") == (b"HTTP/1.1 200 OK", b"ok\n")
    _, body = await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert body.decode() == counts.exposition()


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"GET /other HTTP/1.1", b"HTTP/1.1 404 Not Found"),
        (b"POST /connections HTTP/1.1", b"HTTP/1.1 405 Method Not Allowed"),
        (b"nonsense", b"HTTP/1.1 405 Method Not Allowed"),
        (b"GET", b"HTTP/1.1 404 Not Found"),
        (b"GET \xff\xfe", b"HTTP/1.1 404 Not Found"),
    ],
)
async def test_nothing_else_of_http(port: int, request_line: bytes, answer: bytes):
    assert (await ask(port, request_line + b"\r\n\r\n"))[0] == answer


async def test_a_head_without_an_end_is_not_read_for_ever(port: int):
    reader, writer = await asyncio.open_connection(HERE, port)
    writer.write(b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 10_000)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
