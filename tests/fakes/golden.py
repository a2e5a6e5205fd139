"""Workflows whose picture and result are kept as files.

`<name>.yaml` holds a spec and an input; `<name>.mmd` the picture and `<name>.json` the result that come of it.
`python -m fakes.golden FOLDER` writes the latter two anew: read the difference before you commit it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from langchain_core.messages import BaseMessage

from agent_runtime import outbound
from agent_runtime.clients import Clients
from agent_runtime.metrics import Metrics
from agent_runtime.models.view import message_view
from agent_runtime.resilience.assembly import Resilience
from agent_runtime.spec.mermaid import mermaid
from agent_runtime.workflow.build import build_graph
from fakes.agents import config


async def outcome(text: str) -> tuple[str, str]:
    """The picture and the result of a workflow."""
    case = yaml.safe_load(text)
    agent = config(case["spec"])
    clients = Clients(None)
    graph = build_graph(agent, clients, outbound.Secrets(Path("/nonexistent")), Resilience(Metrics().resilience))
    values = await graph.ainvoke(case["input"])
    await clients.close()
    assert agent.spec.workflow is not None
    return mermaid(agent.spec.workflow), json.dumps(_plain(values), indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        view = message_view(value)
        calls = [call["name"] for call in getattr(value, "tool_calls", ())]
        return f"{view['role']}: {view['content']}" + (f" -> {', '.join(calls)}" if calls else "")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def write(folder: Path) -> None:
    """Writes the pictures and results of all workflows in a folder."""
    for source in sorted(folder.glob("*.yaml")):
        picture, result = asyncio.run(outcome(source.read_text()))
        source.with_suffix(".mmd").write_text(picture)
        source.with_suffix(".json").write_text(result)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
