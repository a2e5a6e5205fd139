"""What a long chat sends to MongoDB, beside what langgraph-checkpoint-mongodb sends for the same one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import monitoring

from bench.checkpoints import Commands, ours, stock, talk

if TYPE_CHECKING:
    from collections.abc import Iterator

TURNS = 200
log = logging.getLogger(__name__)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    """Counts the commands of all clients that are made meanwhile."""
    counting = Commands()
    none = monitoring._Listeners([], [], [], [], [])
    monkeypatch.setattr(monitoring, "_LISTENERS", none)
    monitoring.register(counting)
    return counting


async def test_a_chat_of_200_turns_sends_a_fiftieth_of_the_bytes(mongodb_uri: str, commands: Commands):
    told: dict[str, dict[str, Any]] = {
        "ours": await talk(mongodb_uri, ours, TURNS, commands),
        "stock": await talk(mongodb_uri, stock, TURNS, commands),
    }
    log.info("%s", told)
    assert told["ours"]["bytes_per_turn"] <= told["stock"]["bytes_per_turn"] / 50
    assert told["ours"]["commands_per_turn"] <= 6


async def test_a_turn_sends_no_more_the_longer_the_chat_is(mongodb_uri: str, commands: Commands):
    short = await talk(mongodb_uri, ours, 20, commands)
    long = await talk(mongodb_uri, ours, TURNS, commands)
    assert long["commands_per_turn"] <= 1.2 * short["commands_per_turn"]
    assert long["bytes_per_turn"] <= 2 * short["bytes_per_turn"]
