"""A message as expressions see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


def message_view(message: BaseMessage) -> dict[str, Any]:
    """A message in an expression: `role`, `content`, `name` and `id`."""
    return {
        "role": _ROLES.get(message.type, message.type),
        "content": str(message.text),
        "name": message.name or "",
        "id": message.id or "",
    }
