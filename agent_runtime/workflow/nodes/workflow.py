from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langgraph.errors import GraphRecursionError

from agent_runtime.errors import CallError, CallErrorKind, WorkflowError
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    from agent_runtime.spec.channel import ChannelSpec
    from agent_runtime.spec.workflow import SubWorkflowSpec
    from agent_runtime.workflow.parts import NodeFunction, Parts


def build(spec: SubWorkflowSpec, graph: CompiledStateGraph[Any], parts: Parts) -> NodeFunction:
    """A node that runs a sub-workflow on the channels that both have.

    What goes back is what the sub-workflow added: a channel that sums or appends would else count its old value twice.
    """
    shared = [name for name in spec.state if name in parts.workflow.state]
    what, limits = f"sub-workflow `{spec.name}`", spec.limits
    config: RunnableConfig = {"recursion_limit": limits.steps} if limits.steps else {}
    wall_clock = seconds(limits.wall_clock) if limits.wall_clock else None

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        given = {name: state[name] for name in shared if state.get(name) is not None}
        try:
            async with asyncio.timeout(wall_clock):
                result = await graph.ainvoke(given, config)
        except GraphRecursionError:
            raise WorkflowError(f"{what} took more than its limit of {limits.steps} steps") from None
        except TimeoutError:
            raise CallError(CallErrorKind.TIMEOUT, f"{what} took longer than its limit of {wall_clock} s") from None
        changed = {name: result[name] for name in shared if name in result and result[name] != given.get(name)}
        outer = parts.workflow.state
        return parts.update({name: _added(outer[name], given.get(name), value) for name, value in changed.items()})

    return run


def _added(channel: ChannelSpec, old: Any, new: Any) -> Any:
    """What a channel of the outer workflow has to be given to become `new`."""
    if old is None:
        return new
    if channel.reduce == "append":
        return new[len(old) :] if new[: len(old)] == old else new
    return new - old if channel.reduce == "sum" else new
