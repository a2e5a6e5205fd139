"""What becomes of a node that fails for good but has a `fallback`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from langgraph.runtime import get_runtime
from langgraph.types import Command

from agent_runtime.errors import CallError, CallErrorKind, FencedError, UnavailableError
from agent_runtime.resilience.categories import is_control_flow
from agent_runtime.spec.edge import Handoff
from agent_runtime.spec.expression import Expression
from agent_runtime.spec.scalars import seconds
from agent_runtime.workflow.edges import target
from agent_runtime.workflow.policies import kind, retries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.spec.node import Node
    from agent_runtime.spec.node_base import RetrySpec
    from agent_runtime.workflow.parts import NodeFunction, Parts

log = structlog.get_logger()


def with_fallback(node: Node, fallback: Mapping[str, str], run: NodeFunction, parts: Parts) -> NodeFunction:
    """The node, which after its last attempt writes the fallback's values and goes on as if it had not failed.

    It keeps the time limit of an attempt itself, since LangGraph would end the fallback with it.
    """
    defaults = parts.workflow.defaults
    retry, limit = node.retry or defaults.retry, node.timeout or defaults.timeout
    values = {name: Expression.compile(text) for name, text in fallback.items()}
    timeout = seconds(limit) if limit else None

    async def attempt(state: dict[str, Any]) -> Any:
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                return await run(state)
        except TimeoutError:
            if not clock.expired():
                raise
            message = f"node `{node.name}` took longer than its limit of {timeout:g} s"
            raise CallError(CallErrorKind.TIMEOUT, message) from None

    async def degrading(state: dict[str, Any]) -> Any:
        try:
            return await attempt(state)
        except (UnavailableError, FencedError):
            raise
        except Exception as error:
            if is_control_flow(error) or _comes_again(error, retry):
                raise
            log.warning(
                "node failed, going on with its fallback",
                node=node.name,
                error=kind(error) or type(error).__name__,
                quoted=str(error),
            )
        parts.services.resilience.metrics.fell_back(node.name)
        view = parts.view(state)
        update = parts.update({name: await value.evaluate(state=view) for name, value in values.items()})
        return Command(update=update, goto=target(node.next.otherwise)) if isinstance(node.next, Handoff) else update

    return degrading


def _comes_again(error: Exception, retry: RetrySpec | None) -> bool:
    """Whether LangGraph makes another attempt."""
    info = get_runtime().execution_info
    return retry is not None and info is not None and info.node_attempt < retry.attempts and retries(retry, error)
