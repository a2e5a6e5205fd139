from __future__ import annotations

import asyncio

import pytest

from agent_runtime.background import Background


class _Part(Background):
    def __init__(self) -> None:
        self.broken = asyncio.Event()
        self.ended = False

    async def _go(self) -> None:
        try:
            await self.broken.wait()
        finally:
            self.ended = True
        raise RuntimeError("broken")


@pytest.fixture
async def part() -> _Part:
    return _Part()


async def test_one_that_has_not_begun_is_healthy_and_can_be_closed(part):
    await part.prepare()
    assert part.healthy
    await part.close()


async def test_it_goes_on_while_the_pod_drains_and_ends_when_it_is_closed(part):
    part.start()
    await asyncio.sleep(0)
    part.drain()
    assert (part.healthy, part.ended) == (True, False)
    await part.close()
    assert part.ended


async def test_one_whose_loop_has_ended_is_not_healthy(part):
    part.start()
    part.broken.set()
    await asyncio.wait({part._task})
    assert not part.healthy
    await part.close()
