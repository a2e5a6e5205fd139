"""What an agent says to people: out of the events of a run, and out of the values that it ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from agent_runtime.spec.node import ModelNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_runtime.spec.agent import AgentSpec

MODES = ["messages-tuple", "custom"]
"""The stream modes whose events tell it."""
HEARD = {"agent", "id", "text"}
"""Names in what an `agent` node tells of the answer that it hears, see `workflow.nodes.agent`."""
_OF_PEOPLE = {"human", "user"}
_OF_THE_AGENT = {"ai", "assistant"}


class Piece(NamedTuple):
    """Some text of a message; not the first of it if `more`, and the end of it if `last`."""

    identifier: str
    text: str
    more: bool
    last: bool


class Said(NamedTuple):
    """A message as it is in the end."""

    identifier: str
    text: str


def silent_nodes(spec: AgentSpec) -> frozenset[str]:
    """Nodes whose models speak to the workflow and not to the person: what they say is kept in a channel."""
    flows = [*([spec.workflow] if spec.workflow else []), *spec.workflows]
    return frozenset(
        node.name for flow in flows for node in flow.nodes if isinstance(node, ModelNode) and node.with_.save
    )


class Spoken:
    """Follows the events of a run, and knows which messages were told to their end."""

    def __init__(self, silent: frozenset[str]) -> None:
        self._silent = silent
        self._begun: set[str] = set()
        self._whole: set[str] = set()

    def pieces(self, name: str, data: bytes) -> Iterator[Piece]:
        """What an event adds."""
        if name == "messages":
            message, metadata = orjson.loads(data)
            if metadata.get("langgraph_node") not in self._silent:
                yield from self._of_message(message)
        elif name == "custom":
            told = orjson.loads(data)
            if isinstance(told, dict) and told.keys() == HEARD:
                yield from self._piece(told["id"], told["text"], last=False)

    def left_out(self, values: Mapping[str, Any]) -> list[Said]:
        """What was said by the end of the run, and not told before."""
        return [said for said in answers(values) if said.text and said.identifier not in self._whole]

    def _of_message(self, message: dict[str, Any]) -> Iterator[Piece]:
        identifier, text = message.get("id"), text_of(message.get("content"))
        kind = message.get("type")
        if not identifier or identifier in self._whole:
            return
        if kind == "AIMessageChunk":
            yield from self._piece(identifier, text, last=message.get("chunk_position") == "last")
        elif kind == "ai":
            # What came in pieces was all there is.
            yield from self._piece(identifier, "" if identifier in self._begun else text, last=True)

    def _piece(self, identifier: str, text: str, *, last: bool) -> Iterator[Piece]:
        begun = identifier in self._begun
        if text or (last and begun):
            self._begun.add(identifier)
            yield Piece(identifier, text, begun, last)
        if last and identifier in self._begun:
            self._whole.add(identifier)


def answers(values: Mapping[str, Any]) -> list[Said]:
    """What the agent said since a person spoke last."""
    said: list[Said] = []
    for message in reversed(values.get("messages") or []):
        kind, identifier, content = _read(message)
        if kind in _OF_PEOPLE:
            break
        if kind in _OF_THE_AGENT:
            said.append(Said(identifier, text_of(content)))
    return said[::-1]


def text_of(content: Any) -> str:
    """The text of a message's content, which may come in blocks."""
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content if isinstance(block, dict)) if content else ""


def _read(message: Any) -> tuple[str, str, Any]:
    if isinstance(message, dict):
        return message.get("type") or message.get("role") or "", message.get("id") or "", message.get("content")
    return getattr(message, "type", ""), getattr(message, "id", None) or "", getattr(message, "content", "")
