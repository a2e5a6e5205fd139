"""LangGraph's state snapshots as langgraph-sdk's `ThreadState`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.types import StateSnapshot

from agent_runtime.state.records import shown

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.types import PregelTask


def snapshot(state: StateSnapshot, thread_id: str) -> dict[str, Any]:
    """A `ThreadState`."""
    return {
        "values": state.values,
        "next": list(state.next),
        "tasks": [_task(task, thread_id) for task in state.tasks],
        "metadata": state.metadata or {},
        "created_at": state.created_at,
        "checkpoint": checkpoint(state.config, thread_id),
        "parent_checkpoint": checkpoint(state.parent_config, thread_id) if state.parent_config else None,
        "interrupts": list(state.interrupts),
    }


def checkpoint(config: RunnableConfig, thread_id: str) -> dict[str, Any]:
    """A `Checkpoint`."""
    configurable = config.get("configurable", {})
    return {
        "thread_id": shown(thread_id),
        "checkpoint_ns": configurable.get("checkpoint_ns", ""),
        "checkpoint_id": configurable.get("checkpoint_id"),
        "checkpoint_map": configurable.get("checkpoint_map") or {},
    }


def _task(task: PregelTask, thread_id: str) -> dict[str, Any]:
    inner = task.state
    return {
        "id": task.id,
        "name": task.name,
        "error": str(task.error) if task.error else None,
        "interrupts": list(task.interrupts),
        "checkpoint": checkpoint(inner, thread_id) if inner and not isinstance(inner, StateSnapshot) else None,
        "state": snapshot(inner, thread_id) if isinstance(inner, StateSnapshot) else None,
        "result": task.result,
    }
