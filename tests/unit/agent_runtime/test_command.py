"""Commands for an agent's data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent_runtime import command
from agent_runtime.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from agent_runtime.agent import Agent

SPEC = {
    "auth": {"anonymous": True},
    "state": {"mongodb": {"uriSecretRef": {"name": "mongodb", "key": "uri"}, "database": "none"}},
    "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "Hello"}]}],
    "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "next": "end"}]},
}


def test_a_command_waits_longer_for_mongodb_than_who_serves_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mongodb").mkdir()
    (tmp_path / "mongodb" / "uri").write_text("mongodb://localhost")
    (tmp_path / "agent.json").write_text(json.dumps({"agent": {"name": "a", "namespace": "n"}, "spec": SPEC}))
    monkeypatch.setenv("APM_CONFIG", str(tmp_path / "agent.json"))
    monkeypatch.setenv("APM_SECRETS_DIR", str(tmp_path))
    waits = []

    async def look(agent: Agent) -> int:
        assert agent.connection is not None
        waits.append(agent.connection.arguments()["serverSelectionTimeoutMS"])
        return 0

    assert command.run(look, Settings.from_environment()) == 0
    assert waits == [20_000]
