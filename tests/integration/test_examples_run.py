"""The examples do what they say, in the runtime itself, without MongoDB."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_runtime.spec.agent import AgentSpec
from cluster.settings import REPOSITORY
from fakes.agents import RunningAgent, last_text, person, running

EXAMPLES = REPOSITORY / "examples"
IN_MEMORY = {field.alias or name for name, field in AgentSpec.model_fields.items()} - {"state", "auth"}


def spec_of(file: Path) -> dict[str, Any]:
    """What pods of an example read, with its state in memory, and open to everybody."""
    spec = yaml.safe_load(file.read_text())["spec"]
    return {name: value for name, value in spec.items() if name in IN_MEMORY} | {"auth": {"anonymous": True}}


async def answers(agent: RunningAgent, lines: Iterable[str]) -> list[str]:
    """What the agent answers to each line of one conversation."""
    thread = (await agent.client.threads.create())["thread_id"]
    return [last_text(await agent.client.runs.wait(thread, "agent", input=person(line))) for line in lines]


@pytest.mark.parametrize(
    ("pattern", "conversation"),
    [
        ("sequential", {"go": "A letter in three parts (greeting, offer, farewell)."}),
        ("parallel", {"go": "Legal: no objection. Purchasing: five per cent too high."}),
        ("map-reduce", {"go": "Answers from 3 warehouses."}),
        ("evaluator-loop", {"go": "Our slogan: Good food, warm welcome."}),
        ("router", {"my invoice": "This is the billing desk.", "it is broken": "This is the repair desk."}),
        ("supervisor", {"go": "Report: demand grows by a third."}),
        (
            "hand-over",
            {
                "hello": "Good day. Would you like to buy something, or is something broken?",
                "I buy": "Sales here. What would you like?",
            },
        ),
    ],
)
async def test_a_pattern(pattern, conversation):
    async with running(spec_of(EXAMPLES / "patterns" / f"{pattern}.yaml")) as agent:
        assert await answers(agent, conversation) == list(conversation.values())


async def test_a_booking_is_handed_over_and_goes_on():
    host = spec_of(EXAMPLES / "restaurant-voice-host.yaml")
    async with running(host, name="restaurant-voice-host") as other:
        peers = {"restaurant-voice-host": other.url}
        async with running(spec_of(EXAMPLES / "support-triage.yaml"), name="support-triage", peers=peers) as agent:
            given = await answers(
                agent,
                [
                    "I have a question about my invoice.",
                    "I would like to book a table for four.",
                    "Friday at 19:00, please.",
                    "My name is Miller.",
                ],
            )
    assert "billing team" in given[0]
    assert "at what time" in given[1]
    assert "which name" in given[2]
    for part in ("table for four", "Friday at 19:00", "name is Miller"):
        assert part in given[3]


async def test_a_customer_is_told_when_the_other_agent_is_away():
    peers = {"restaurant-voice-host": "http://127.0.0.1:9"}
    async with running(spec_of(EXAMPLES / "support-triage.yaml"), peers=peers) as agent:
        (given,) = await answers(agent, ["A table for two, please."])
    assert given.startswith("Our restaurant cannot be reached")


async def test_an_own_graph(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "own-graph"))
    try:
        async with running(spec_of(EXAMPLES / "own-graph" / "agent.yaml")) as agent:
            given = await answers(agent, ["the sea", "mountains"])
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "travel"]:
            del sys.modules[name]
    assert given == ["Noted as wish number 1: the sea", "Noted as wish number 2: mountains"]
