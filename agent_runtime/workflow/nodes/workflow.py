from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from agent_runtime.spec.channel import ChannelSpec
    from agent_runtime.spec.workflow import WorkflowSpec
    from agent_runtime.workflow.parts import NodeFunction, Parts


def build(spec: WorkflowSpec, graph: CompiledStateGraph[Any], parts: Parts) -> NodeFunction:
    """A node that runs a sub-workflow on the channels that both have.

    What goes back is what the sub-workflow added: a channel that sums or appends would else count its old value twice.
    """
    shared = [name for name in spec.state if name in parts.workflow.state]

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        given = {name: state[name] for name in shared if state.get(name) is not None}
        result = await graph.ainvoke(given)
        changed = {name: result[name] for name in shared if name in result and result[name] != given.get(name)}
        return parts.update({name: _added(spec.state[name], given.get(name), value) for name, value in changed.items()})

    return run


def _added(channel: ChannelSpec, old: Any, new: Any) -> Any:
    if old is None:
        return new
    if channel.reduce == "append":
        return new[len(old) :]
    return new - old if channel.reduce == "sum" else new
