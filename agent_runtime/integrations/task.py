"""The task of a run in which a call is made."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import uuid4

from agent_runtime.state.records import ANONYMOUS, OWNER_END

if TYPE_CHECKING:
    from langgraph.runtime import ExecutionInfo

    from agent_runtime.integrations.operation import Arguments


def new_key(operation: str, arguments: Arguments) -> str:
    """The key by which a service tells a repeated call from a new one.

    In a run it is the same for the same call of the same task, be it tried again or resumed; else it is new.
    """
    info = _execution()
    if info is None:
        return uuid4().hex
    text = f"{operation}:{arguments.model_dump_json(exclude_none=True)}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{info.thread_id or 'none'}:{info.checkpoint_id}:{info.task_id}:{digest}"


def owner() -> str | None:
    """Whose run it is, as `owner_of` tells; None outside of runs."""
    info = _execution()
    return owner_of(info.thread_id or "") if info else None


def owner_of(thread: str) -> str:
    """The part of a thread's key that stands for its owner."""
    return thread.partition(OWNER_END)[0] if OWNER_END in thread else ANONYMOUS


def _execution() -> ExecutionInfo | None:
    from langgraph.runtime import get_runtime  # noqa: PLC0415 - every agent has it, not every user of the clients

    try:
        return get_runtime().execution_info
    except RuntimeError:
        return None
