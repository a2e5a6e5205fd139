"""Dead letters: each caller's own, and everybody's for stewards."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agent_runtime.auth.principal import Principal
from agent_runtime.errors import NotFoundError
from agent_runtime.events.errors import RefusedError
from agent_runtime.events.letters import DeadLetters
from agent_runtime.spec.approvers import ApproversSpec
from unit.agent_runtime.events.delivering import Post, Recorder, event, post, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ALICE, BOB = Principal("alice", "", "apiKey"), Principal("bob", "", "apiKey")
CLERK = Principal("shop/clerk", "", "serviceAccount")
STEWARDS = ApproversSpec(service_accounts=("shop/clerk",)).marks


@asynccontextmanager
async def dead(*owners: Principal) -> AsyncIterator[tuple[DeadLetters, Post, Recorder]]:
    """One event of each owner, none of which was taken."""
    refusing = Recorder(trouble=lambda _: RefusedError("no"))
    async with post(refusing, most=1000) as it:
        for number, owner in enumerate(owners):
            await it.log.append(event(number), owner.owner)
        letters = DeadLetters(it.log, STEWARDS)
        async with asyncio.timeout(5):
            while await it.storage.letter_count() < len(owners):  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.001)
        yield letters, it, refusing


async def ids(letters: DeadLetters, caller: Principal, consumer: str | None = None) -> set[str]:
    return {letter.entry.event.id for letter in (await letters.page(caller, consumer, 1000)).letters}


async def test_callers_see_their_own_and_stewards_all():
    async with dead(ALICE, BOB, ALICE) as (letters, _, _):
        assert await ids(letters, ALICE) == {"0", "2"}
        assert await ids(letters, BOB) == {"1"}
        assert await ids(letters, Principal("carol", "", "apiKey")) == set()
        assert await ids(letters, CLERK) == {"0", "1", "2"}
        assert await ids(letters, CLERK, "subscribe/other") == set()


@pytest.mark.parametrize(
    "caller",
    [
        Principal("shop/clerk", "", "mtls"),
        Principal("shop/clerk", "", "apiKey"),
        Principal("shop/clerk", "", "jwt", "https://idp.example"),
        Principal("shop", "", "serviceAccount"),
    ],
)
async def test_a_steward_is_known_by_what_proves_it(caller):
    assert not DeadLetters(None, STEWARDS).manages(caller)  # type: ignore[arg-type]


async def test_nobody_touches_what_is_anothers():
    async with dead(ALICE) as (letters, _, refusing):
        (letter,) = (await letters.page(ALICE, None, 1000)).letters
        for act in (letters.replay, letters.discard):
            with pytest.raises(NotFoundError, match="there is no dead letter"):
                await act(BOB, letter.id)
        assert await letters.replay_all(BOB, "subscribe/one") == (0, False)
        assert await letters.discard_all(BOB, "subscribe/one") == (0, False)
        assert await ids(letters, ALICE) == {"0"}
        assert refusing.tried == ["0"]


async def test_pages_hold_as_many_as_are_asked_for():
    async with dead(*([ALICE, BOB] * 60)) as (letters, _, _):
        found, after = [], ""
        while True:
            page = await letters.page(ALICE, None, 7, after)
            found += [letter.entry.event.id for letter in page.letters]
            assert len(page.letters) <= 7
            if page.next is None:
                break
            after = page.next
        assert sorted(found, key=int) == [str(number) for number in range(0, 120, 2)]


async def test_a_replay_delivers_again_and_a_discard_forgets():
    async with dead(ALICE, ALICE, ALICE) as (letters, _, refusing):
        first, second, _ = (await letters.page(ALICE, None, 1000)).letters
        await letters.discard(ALICE, first.id)
        refusing.trouble = lambda _: None
        await letters.replay(ALICE, second.id)
        await until(lambda: refusing.got == [second.entry.event.id])
        assert await letters.replay_all(CLERK, "subscribe/one") == (1, False)
        await until(lambda: len(refusing.got) == 2)
        assert first.entry.event.id not in refusing.got
        assert await ids(letters, CLERK) == set()
        with pytest.raises(NotFoundError):
            await letters.discard(ALICE, first.id)


async def test_all_of_a_consumer_go_at_once():
    async with dead(ALICE, BOB, ALICE) as (letters, _, refusing):
        assert await letters.discard_all(ALICE, "subscribe/one") == (2, False)
        assert await ids(letters, CLERK) == {"1"}
        with pytest.raises(NotFoundError, match="no consumer sink/lost: there are subscribe/one"):
            await letters.replay_all(CLERK, "sink/lost")
        assert len(refusing.tried) == 3
