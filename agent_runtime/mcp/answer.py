"""What a tool of an MCP server answers, as a value of the workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_types import TextContent

from agent_runtime import plain
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.mcp.failures import shortened

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from agent_runtime.mcp.offer import Offered


async def value_of(result: CallToolResult, offered: Offered, what: str) -> Any:
    """The structured content; else the text, parsed where it is JSON; else the list of contents as they came.

    Raises:
        CallError: The tool tells an error (`Refused`), or the answer is not what the server promised.
    """
    if result.is_error:
        raise CallError(CallErrorKind.REFUSED, f"{what} failed: {shortened(_text(result)) or 'it gives no reason'}")
    if "structured_content" in result.model_fields_set and result.structured_content is not None:
        value = result.structured_content
        if offered.answer is not None and (problem := await offered.answer.mismatch(value, quote_value=False)):
            raise CallError(CallErrorKind.BAD_ANSWER, f"{what} answered with something that does not fit: {problem}")
    elif offered.answer is not None:
        raise CallError(CallErrorKind.BAD_ANSWER, f"{what} promised a structured answer and gave none")
    elif all(isinstance(block, TextContent) for block in result.content):
        return _parsed(_text(result), what)
    else:
        value = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
    if plain.deeper(value, plain.DEEPEST_ANSWER):
        raise _too_deep(what)
    return value


def _parsed(text: str, what: str) -> Any:
    try:
        return plain.parse(text)
    except plain.TooDeep:
        raise _too_deep(what) from None
    except ValueError:
        return text


def _text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def _too_deep(what: str) -> CallError:
    return CallError(
        CallErrorKind.BAD_ANSWER,
        f"{what} answered with more than {plain.DEEPEST_ANSWER} levels of lists and objects",
    )
