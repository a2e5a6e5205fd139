"""What many ask at a time goes in few commands, and each gets its own answer."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from agent_runtime.errors import UnavailableError
from agent_runtime.state.batch import Lanes


class Doubling(Lanes[int, int]):
    """Answers after a turn of the loop; a negative number can't be asked for, and zero finds no server."""

    def __init__(self, lanes: int) -> None:
        super().__init__(Mock(), lanes)
        self.sent: list[list[int]] = []

    async def double(self, number: int) -> int:
        return await self._ask(number)

    async def _send(self, asked: list[int]) -> list[int]:
        self.sent.append(asked)
        await asyncio.sleep(0)
        if min(asked) < 0:
            raise ValueError("negative")
        if min(asked) == 0:
            raise UnavailableError("away")
        return [2 * number for number in asked]


@pytest.mark.parametrize("lanes", [1, 2])
async def test_who_asks_again_at_once_is_answered(lanes):
    doubling = Doubling(lanes)

    async def ask() -> list[int]:
        return [await doubling.double(number) for number in range(1, 50)]

    async with asyncio.timeout(5):
        assert await asyncio.gather(*(ask() for _ in range(lanes))) == [[2 * n for n in range(1, 50)]] * lanes


async def test_what_comes_meanwhile_goes_together():
    doubling = Doubling(1)
    assert await asyncio.gather(*(doubling.double(number) for number in (1, 2, 3, 4))) == [2, 4, 6, 8]
    assert doubling.sent == [[1, 2, 3, 4]]


async def test_many_do_not_all_wait_for_one_command():
    doubling = Doubling(2)
    await asyncio.gather(*(doubling.double(number) for number in range(1, 101)))
    assert [len(sent) for sent in doubling.sent] == [50, 50]


async def test_one_that_cannot_be_sent_fails_alone():
    doubling = Doubling(1)
    told = await asyncio.gather(*(doubling.double(number) for number in (1, -1, 2)), return_exceptions=True)
    assert [str(one) for one in told] == ["2", "negative", "4"]


async def test_without_a_server_all_fail():
    doubling = Doubling(1)
    told = await asyncio.gather(*(doubling.double(number) for number in (1, 0)), return_exceptions=True)
    assert [type(one) for one in told] == [UnavailableError, UnavailableError]
    assert doubling.sent == [[1, 0]]


class Placed(Doubling):
    def _place(self, asked: int) -> str:
        return str(asked)


async def test_a_command_has_its_order_and_each_its_own_answer():
    doubling = Placed(1)
    assert await asyncio.gather(*(doubling.double(number) for number in (3, 1, 2))) == [6, 2, 4]
    assert doubling.sent == [[1, 2, 3]]
