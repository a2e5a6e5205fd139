"""The activator as the process that its pod runs: small, asked by KEDA, and ended by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.settings import REPOSITORY
from unit.apm_operator.activator.sockets import HERE, Pod, free_port

pytestmark = pytest.mark.timeout(120)
_MOST_BYTES = 32 * 1024 * 1024


class Running:
    """An activator before a pod that is not there yet."""

    def __init__(self) -> None:
        self.pod = Pod()
        self.port, self.status_port = free_port(), free_port()
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, **settings: str) -> None:
        environment = {
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "APM_UPSTREAM_HOST": HERE,
            "APM_UPSTREAM_PORT": str(self.pod.port),
            "APM_PORT": str(self.port),
            "APM_STATUS_PORT": str(self.status_port),
            **settings,
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "apm_operator.activator", env=environment, stderr=asyncio.subprocess.PIPE
        )
        assert self.process.stderr is not None
        line = json.loads(await self.process.stderr.readline())
        assert line["event"] == "started", line

    async def connect(self, client: str = HERE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from one of this machine's own addresses."""
        return await asyncio.open_connection(HERE, self.port, local_addr=(client, 0))

    async def ask(self, path: str) -> str:
        reader, writer = await asyncio.open_connection(HERE, self.status_port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: activator\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer.partition("\r\n\r\n")[2]

    async def wanted(self) -> int:
        return int(json.loads(await self.ask("/connections"))["connections"])

    async def until_wanted(self, number: int) -> None:
        async with asyncio.timeout(20):
            while await self.wanted() != number:  # noqa: ASYNC110  another process tells nobody
                await asyncio.sleep(0.02)

    def memory(self) -> int:
        """Bytes of it that are in memory."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = Running()
    yield made
    if made.pod.server is not None:
        made.pod.server.close()
    if made.process is not None and made.process.returncode is None:
        made.process.kill()
        await made.process.wait()


async def test_it_holds_connections_tells_keda_and_passes_them_on(running: Running):
    await running.start()
    assert await running.wanted() == 0
    clients = [await running.connect() for _ in range(20)]
    for number, (_, writer) in enumerate(clients):
        writer.write(f"client {number:02}".encode())
    await running.until_wanted(20)
    await running.pod.start()
    assert [await reader.readexactly(9) for reader, _ in clients] == [f"client {at:02}".encode() for at in range(20)]
    assert "apm_activator_woken_total 20" in await running.ask("/metrics")
    for _, writer in clients:
        writer.close()
    await running.until_wanted(0)
    print(f"{running.memory() / 1024 / 1024:.1f} MiB")  # noqa: T201
    assert running.memory() < _MOST_BYTES


async def test_beyond_its_most_connections_it_takes_no_more_and_one_client_has_half_of_them(running: Running):
    await running.start(APM_MOST_CONNECTIONS="4")
    held = [await running.connect() for _ in range(2)]
    await _is_refused(running, HERE)
    held += [await running.connect(client) for client in ("127.0.0.2", "127.0.0.3")]
    for _, writer in held:
        writer.write(b"hello")
    await running.until_wanted(4)
    await _is_refused(running, "127.0.0.4")
    assert 'apm_activator_ended_total{reason="full"} 2' in await running.ask("/metrics")
    held.pop()[1].close()
    await running.until_wanted(3)
    held.append(await running.connect("127.0.0.4"))
    held[-1][1].write(b"hello")
    await running.until_wanted(4)
    for _, writer in held:
        writer.close()


async def _is_refused(running: Running, client: str) -> None:
    reader, writer = await running.connect(client)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_after_sigterm_it_lets_open_connections_end_and_takes_no_new_ones(running: Running):
    await running.start(APM_LINGER_SECONDS="0")
    await running.pod.start()
    reader, writer = await running.connect()
    writer.write(b"before")
    assert await reader.readexactly(6) == b"before"
    assert running.process is not None
    running.process.send_signal(signal.SIGTERM)
    await _refused(running)
    writer.write(b"after")
    assert await reader.readexactly(5) == b"after"
    writer.close()
    assert await running.process.wait() == 0


async def test_what_does_not_end_in_time_is_cut(running: Running):
    await running.start(APM_LINGER_SECONDS="0", APM_DRAIN_SECONDS="0.2")
    await running.pod.start()
    reader, writer = await running.connect()
    writer.write(b"before")
    assert await reader.readexactly(6) == b"before"
    assert running.process is not None
    running.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        assert await running.process.wait() == 0
    writer.close()


async def test_without_an_address_it_does_not_start(running: Running):
    with pytest.raises(AssertionError, match="APM_UPSTREAM_HOST"):
        await running.start(APM_UPSTREAM_HOST="")
    assert running.process is not None
    assert await running.process.wait() == 2


async def _refused(running: Running) -> None:
    """Wait until no new connections are taken."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await running.connect()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # it was still in the listener's queue when that closed
            writer.close()
            await asyncio.sleep(0.02)
