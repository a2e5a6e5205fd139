"""The tools by which a model hands over to another node."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agent_runtime.models.wire import tool_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import BaseMessage

_PREFIX = "transfer_to_"
_LONGEST_NAME = 64  # of a function in the OpenAI API


def tool_name(node: str) -> str:
    """Name of the tool that hands over to a node."""
    name = _PREFIX + node
    if len(name) <= _LONGEST_NAME:
        return name
    digest = sha256(node.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}-{digest}"


def is_handover(message: BaseMessage) -> bool:
    """Whether a message only acknowledges a hand-over, and is nobody's words."""
    return message.type == "tool" and (message.name or "").startswith(_PREFIX)


def tools(nodes: Iterable[str]) -> list[dict[str, Any]]:
    """The tools as a model is offered them."""
    return [
        tool_to_wire(tool_name(node), f"Hand the conversation over to {node}.", {"type": "object", "properties": {}})
        for node in nodes
    ]
