"""What a checkpointer keeps of a node's failure, without the pod's secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver


def redact_failures(saver: BaseCheckpointSaver[Any], redact: Callable[[str], str]) -> None:
    """Has a checkpointer keep exceptions in the words that `redact` leaves; LangGraph would keep them as raised."""
    put, aput = saver.put_writes, saver.aput_writes

    def redacted(writes: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [
            (channel, redact(repr(value)) if isinstance(value, BaseException) else value) for channel, value in writes
        ]

    def put_writes(
        config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        put(config, redacted(writes), task_id, task_path)

    async def aput_writes(
        config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await aput(config, redacted(writes), task_id, task_path)

    saver.put_writes = put_writes  # type: ignore[method-assign] # one for both kinds of checkpointer
    saver.aput_writes = aput_writes  # type: ignore[method-assign] # likewise
