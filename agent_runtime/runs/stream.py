"""LangGraph's stream as the server-sent events of langgraph-sdk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Translator:
    """Turns the graph's stream parts into named events.

    `messages-tuple` sends each piece of a message with its metadata, as event `messages`; `messages` sends the message
    so far, as `messages/partial`, and whole as `messages/complete`.
    """

    def __init__(self, modes: Sequence[str]) -> None:
        self._modes = set(modes)
        self._partial: dict[str, BaseMessageChunk] = {}
        asked = {"messages" if mode == "messages-tuple" else mode for mode in modes}
        self.graph_modes = sorted(asked)

    def translate(self, mode: str, data: Any) -> Iterator[tuple[str, Any]]:
        """The events of one part of the graph's stream."""
        if mode != "messages":
            yield mode, data
            return
        message, metadata = data
        if "messages-tuple" in self._modes:
            yield "messages", [message, metadata]
        if "messages" in self._modes:
            yield from self._collect(message, metadata)

    def _collect(self, message: BaseMessage, metadata: Any) -> Iterator[tuple[str, Any]]:
        identifier = message.id or ""
        if not isinstance(message, BaseMessageChunk):
            yield "messages/complete", [message]
            return
        known = self._partial.get(identifier)
        if known is None:
            yield "messages/metadata", {identifier: {"metadata": metadata}}
        whole = message if known is None else known + message
        self._partial[identifier] = whole
        if getattr(message, "chunk_position", None) == "last":
            del self._partial[identifier]
            yield "messages/complete", [message_chunk_to_message(whole)]
        else:
            yield "messages/partial", [message_chunk_to_message(whole)]
