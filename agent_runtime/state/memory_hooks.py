from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from agent_runtime.state.records import Hook


_MOST = 200
"""Webhooks that are kept, each with the values that a run ended with."""


class MemoryHooks:
    """Keeps webhooks until they are sent, or the pod ends."""

    def __init__(self) -> None:
        super().__init__()
        self._hooks: dict[str, Hook] = {}

    async def add_hook(self, hook: Hook) -> None:
        self._hooks.setdefault(hook.hook_id, hook)
        while len(self._hooks) > _MOST:
            del self._hooks[next(iter(self._hooks))]

    async def due_hooks(self, moment: datetime, limit: int) -> list[Hook]:
        due = [hook for hook in self._hooks.values() if hook.due <= moment]
        return sorted(due, key=lambda hook: hook.due)[:limit]

    async def take_hook(self, hook: Hook, until: datetime) -> Hook | None:
        kept = self._hooks.get(hook.hook_id)
        if kept is None or kept.attempt != hook.attempt:
            return None
        taken = self._hooks[hook.hook_id] = replace(kept, due=until, attempt=kept.attempt + 1)
        return taken

    async def remove_hook(self, hook: Hook) -> None:
        self._hooks.pop(hook.hook_id, None)
