from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_runtime.agent import Agent
from agent_runtime.settings import Settings
from fakes.agents import CHAT, ECHO, config

if TYPE_CHECKING:
    from pathlib import Path


def _agent(directory: Path, uri: str, ttl: str) -> Agent:
    (directory / "db").mkdir()
    (directory / "db" / "uri").write_text(uri)
    state = {"mongodb": {"uriSecretRef": {"name": "db", "key": "uri"}}, "ttl": ttl}
    spec = {"models": [ECHO], "workflow": CHAT, "state": state}
    return Agent(config(spec), Settings(secrets_dir=directory))


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://host:port/",
        "mongodb://user:p@ss:word@host/",
        "mongodb://",
    ],
)
async def test_a_wrong_connection_string_is_said_and_no_reason_to_die(tmp_path, uri):
    agent = _agent(tmp_path, uri, "1h")
    await agent.link.look()
    assert agent.link.problem is not None
    assert "the connection string or certificates of MongoDB can't be used" in agent.link.problem
    assert "host" not in agent.link.problem
    await agent.close()
