"""The tools that an MCP server offers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.spec.tool import ANY_ARGUMENTS
from agent_runtime.workflow.json_schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.client import ClientSession
    from mcp_types import Tool

_LARGEST_SCHEMA = 64 << 10
_LONGEST_DESCRIPTION = 1024
_MOST_PAGES = 50
_MOST_TOOLS = 2000


@dataclass(frozen=True)
class Offered:
    """A tool as its server describes it."""

    description: str
    parameters: Mapping[str, Any]
    arguments: Schema
    answer: Schema | None
    repeatable: bool
    """Whether the server says that a second call with the same arguments does no harm."""

    @classmethod
    def read(cls, tool: Tool, what: str) -> Offered:
        """Raises CallError if the tool's schemas can't be used."""
        arguments = _schema(tool.input_schema, f"the arguments of {what}")
        answer = tool.output_schema and _schema(tool.output_schema, f"the answers of {what}")
        hints = tool.annotations
        repeatable = hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)
        description = (tool.description or "")[:_LONGEST_DESCRIPTION]
        return cls(description, tool.input_schema, arguments, answer or None, repeatable)


def _schema(schema: Mapping[str, Any], what: str) -> Schema:
    if len(json.dumps(schema)) > _LARGEST_SCHEMA:
        raise CallError(CallErrorKind.BAD_ANSWER, f"the JSON Schema of {what} is larger than 64 KiB")
    try:
        return Schema.read(schema, what)
    except ConfigError as error:
        raise CallError(CallErrorKind.BAD_ANSWER, str(error)) from error


async def listed(session: ClientSession, what: str) -> dict[str, Tool]:
    """All tools of a server by name.

    Raises:
        CallError: There are more than are read.
    """
    from mcp_types import PaginatedRequestParams  # noqa: PLC0415 - only what is used is loaded

    found: dict[str, Tool] = {}
    cursor = None
    for _ in range(_MOST_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found |= {tool.name: tool for tool in page.tools}
        cursor = page.next_cursor
        if cursor is None and len(found) <= _MOST_TOOLS:
            return found
    raise CallError(CallErrorKind.BAD_ANSWER, f"{what} offers more tools than are read ({_MOST_TOOLS})")


def misfit(wanted: Mapping[str, Any], offered: Mapping[str, Any]) -> str | None:
    """Why arguments that fit the schema `wanted` would not fit what the server's schema asks for; None if they do.

    Compares names, what is required, and plain types: enough to notice that a server has changed.
    """
    if wanted == ANY_ARGUMENTS:
        return None
    ours, theirs = wanted.get("properties", {}), offered.get("properties", {})
    for name in offered.get("required", ()):
        if name not in wanted.get("required", ()):
            return f"the server requires the argument {name}, and `parameters` does not"
    for name, schema in ours.items():
        if name not in theirs:
            return f"the server takes no argument {name}"
        our, their = (each.get("type") if isinstance(each, dict) else None for each in (schema, theirs[name]))
        if isinstance(our, str) and isinstance(their, str) and our != their and (our, their) != ("integer", "number"):
            return f"the server's argument {name} is of type {their}, that of `parameters` of type {our}"
    return None
