import asyncio
import json
from contextlib import ExitStack

import pytest

from apm_operator.echoes import Echoes


def event(version: str, kind: str = "MODIFIED", **metadata: object) -> bytes:
    found = {"metadata": {"name": "one", **metadata, "resourceVersion": version}, "spec": {"resourceVersion": "9"}}
    return json.dumps({"type": kind, "object": found}, separators=(",", ":")).encode()


def test_an_echo_comes_once():
    echoes = Echoes()
    echoes.expect("10")
    assert echoes.take(event("10"))
    assert not echoes.take(event("10"))


@pytest.mark.parametrize(
    "line",
    [
        event("11"),
        event("1"),
        event("10", "DELETED"),
        event("10", "BOOKMARK"),
        event("11", annotations={"note": '"resourceVersion":"10"'}),
        b"",
    ],
    ids=["another", "part", "deletion", "bookmark", "quoted", "empty"],
)
def test_what_is_no_echo_is_told(line):
    echoes = Echoes()
    echoes.expect("9")
    echoes.expect("10")
    assert not echoes.take(line)


def test_echoes_that_never_come_are_forgotten():
    echoes = Echoes()
    for version in range(10_000):
        echoes.expect(str(version))
    assert len(echoes) < 5_000
    assert echoes.take(event("9999"))
    assert not echoes.take(event("0"))


async def test_an_event_waits_for_the_answers_under_way():
    echoes = Echoes()
    with echoes.writing():
        waiting = asyncio.create_task(echoes.answers())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_an_event_does_not_wait_for_what_began_after_it():
    echoes = Echoes()
    with ExitStack() as later:
        with echoes.writing():
            waiting = asyncio.create_task(echoes.answers())
            await asyncio.sleep(0)
            later.enter_context(echoes.writing())
            await asyncio.sleep(0)
            assert not waiting.done()
        for _ in range(5):
            await asyncio.sleep(0)
        assert waiting.done()


async def test_an_event_does_not_wait_long_for_an_answer():
    echoes = Echoes()
    with echoes.writing():
        await asyncio.wait_for(echoes.answers(), 10)


async def test_a_write_that_fails_is_under_way_no_more():
    echoes = Echoes()
    with pytest.raises(ZeroDivisionError), echoes.writing():
        raise ZeroDivisionError
    await asyncio.wait_for(echoes.answers(), 0.01)
