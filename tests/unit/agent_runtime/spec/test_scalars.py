from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.scalars import Pause, seconds

CHAT = {"start": "a", "nodes": [{"name": "a", "uses": "model"}]}
MONGODB = {"uriSecretRef": {"name": "m", "key": "uri"}}


@pytest.mark.parametrize(
    ("text", "length"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("720h", 2_592_000), ("30d", 2_592_000)],
)
def test_durations_in_seconds(text, length):
    assert seconds(text) == length


@pytest.mark.parametrize(
    "spec",
    [
        {"workflow": {**CHAT, "nodes": [{"name": "a", "uses": "model", "timeout": "0s"}]}},
        {"workflow": {**CHAT, "nodes": [{"name": "a", "uses": "agent", "with": {"ref": "b", "timeout": "0m0s"}}]}},
        {"workflow": {**CHAT, "defaults": {"timeout": "00h"}}},
        {"workflow": {**CHAT, "limits": {"wallClock": "0ms"}}},
        {"workflow": {**CHAT, "tools": [{"name": "t", "http": {"url": "http://t", "timeout": "0s"}}]}},
        {"workflow": CHAT, "models": [{"name": "default", "timeout": "0s"}]},
        {"workflow": CHAT, "state": {"mongodb": MONGODB, "ttl": "0d"}},
    ],
    ids=["node", "agent", "defaults", "wallClock", "tool", "model", "ttl"],
)
def test_a_limit_of_no_time_is_refused(spec):
    with pytest.raises(ValidationError, match="must be longer than zero: write such as `30s`, or leave it out"):
        AgentSpec.model_validate(spec)


def test_a_pause_may_be_none():
    assert TypeAdapter(Pause).validate_python("0s") == "0s"
