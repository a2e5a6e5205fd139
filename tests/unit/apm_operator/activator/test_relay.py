"""Connections through real sockets: held, passed on, and ended."""

import asyncio
import socket
import struct
from contextlib import suppress

import pytest

from apm_operator.activator.counts import Counts
from apm_operator.activator.upstream import CHUNK
from unit.apm_operator.activator.sockets import Pod, door, echo, sample

pytestmark = pytest.mark.timeout(60)


def waiting(number: int):
    return lambda counts: sample(counts, 'apm_activator_connections{state="waiting"}') == number


def opened(number: int):
    return lambda counts: sample(counts, 'apm_activator_connections{state="open"}') == number


def ended(counts: Counts, reason: str) -> int:
    return sample(counts, f'apm_activator_ended_total{{reason="{reason}"}}')


async def test_a_connection_is_held_until_a_pod_is_ready_and_nothing_is_lost():
    pod = Pod()
    async with door(pod) as at:
        reader, writer = await at.connect()
        writer.write(b"hello, ")
        await at.until(waiting(1))
        writer.write(b"are you there?")
        assert at.counts.wanted() == 1
        await pod.start()
        assert await reader.readexactly(21) == b"hello, are you there?"
        assert opened(1)(at.counts)
        assert sample(at.counts, "apm_activator_woken_total") == 1
        writer.close()
        await at.until(opened(0))
        await asyncio.gather(*at.tasks)


async def test_one_with_a_pod_is_passed_on_at_once():
    pod = Pod()
    await pod.start()
    async with door(pod) as at:
        reader, writer = await at.connect()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert sample(at.counts, "apm_activator_woken_total") == 0
        writer.close()
        await asyncio.gather(*at.tasks)


async def test_many_that_wait_are_all_served_each_with_its_own_answer():
    pod = Pod()
    async with door(pod) as at:
        clients = [await at.connect() for _ in range(50)]
        for number, (_, writer) in enumerate(clients):
            writer.write(f"client {number:02}".encode())
        await at.until(waiting(50))
        await pod.start()
        answers = [await reader.readexactly(9) for reader, _ in clients]
        assert answers == [f"client {number:02}".encode() for number in range(50)]
        for _, writer in clients:
            writer.close()
        await asyncio.gather(*at.tasks)


async def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on():
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read()
        writer.write(b"you said: " + said)
        writer.close()

    pod = Pod()
    await pod.start(answer_at_the_end)
    async with door(pod) as at:
        reader, writer = await at.connect()
        writer.write(b"that is all")
        writer.write_eof()
        assert await reader.read() == b"you said: that is all"
        writer.close()
        await asyncio.gather(*at.tasks)


async def test_no_pod_in_time_ends_it():
    async with door(Pod(), hold=0.1) as at:
        reader, writer = await at.connect()
        writer.write(b"hello")
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        await asyncio.gather(*at.tasks)
        assert ended(at.counts, "late") == 1
        writer.close()


async def test_a_client_that_leaves_while_it_waits_is_let_go_and_still_wants_a_pod():
    async with door(Pod()) as at:
        _, writer = await at.connect()
        writer.write(b"hello")
        await at.until(waiting(1))
        writer.close()
        await at.until(waiting(0))
        await asyncio.gather(*at.tasks)
        assert ended(at.counts, "gone") == 1
        assert at.counts.wanted() == 1, "it comes again: clients give up a connection after seconds"


async def test_who_says_nothing_wakes_nobody():
    async with door(Pod(), first=0.05) as at:
        reader, writer = await at.connect()
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        probe = await at.connect()
        probe[1].close()
        await asyncio.gather(*at.tasks)
        await at.until(lambda counts: ended(counts, "silent") == 2)
        await asyncio.gather(*at.tasks)
        assert at.counts.wanted() == 0
        writer.close()


async def test_what_a_waiting_client_says_is_bounded():
    async with door(Pod()) as at:
        _, writer = await at.connect()
        writer.transport.set_write_buffer_limits(high=0)
        sent = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 64 * 1024 * 1024:
                    writer.write(b"x" * CHUNK)
                    await writer.drain()
                    sent += CHUNK
        assert sent < 32 * 1024 * 1024, "the systems' own buffers, and 64 KiB"
        await at.until(waiting(1))
        writer.transport.abort()


async def test_a_client_that_takes_nothing_holds_up_the_pod_and_is_not_waited_for_without_an_end():
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal given
        try:
            while True:
                writer.write(b"x" * CHUNK)
                await writer.drain()
                given += CHUNK
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    given, pod = 0, Pod()
    await pod.start(flood)
    async with door(pod, idle=1.0) as at:
        _, writer = await at.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"more")
        await at.until(lambda counts: ended(counts, "idle") == 1)
        assert given < 32 * 1024 * 1024
        writer.transport.abort()


async def test_silence_in_both_directions_ends_it(monkeypatch: pytest.MonkeyPatch):
    loop, pod, passed = asyncio.get_running_loop(), Pod(), 0.0
    clock = loop.time
    # By the wall's clock, a machine that is busy would be silent for too long now and then.
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)
    await pod.start()
    async with door(pod, idle=60.0) as at:
        reader, writer = await at.connect()
        for _ in range(4):  # longer than `idle` in all
            writer.write(b"tick")
            assert await reader.readexactly(4) == b"tick"
            passed += 40.0
        passed += 40.0
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        await asyncio.gather(*at.tasks)
        assert ended(at.counts, "idle") == 1
        writer.close()


async def test_a_pod_that_breaks_off_is_no_proper_end_for_the_client():
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    pod = Pod()
    await pod.start(break_off)
    async with door(pod) as at:
        reader, writer = await at.connect()
        writer.write(b"hello")
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        await asyncio.gather(*at.tasks)
        assert opened(0)(at.counts)
        writer.close()


async def test_a_large_answer_comes_whole():
    content = bytes(range(256)) * 40_000

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(content)
        await writer.drain()
        writer.close()

    pod = Pod()
    await pod.start(send)
    async with door(pod) as at:
        reader, writer = await at.connect()
        writer.write(b"get")
        assert await reader.read() == content
        writer.close()
        await asyncio.gather(*at.tasks)


async def test_an_agent_that_goes_and_comes_again():
    pod = Pod()
    await pod.start()
    async with door(pod) as at:
        reader, writer = await at.connect()
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        assert pod.server is not None
        pod.server.close()
        writer.close()
        await asyncio.gather(*at.tasks)
        reader, writer = await at.connect()
        writer.write(b"two")
        await at.until(waiting(1))
        await pod.start(echo)
        assert await reader.readexactly(3) == b"two"
        writer.close()
        await asyncio.gather(*at.tasks)
