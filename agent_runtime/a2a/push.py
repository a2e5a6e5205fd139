"""Push notifications: what is sent to the addresses that clients have set for their tasks.

They go the way of webhooks: to the origins that the spec allows, kept before the run's end is told, and tried again by
any pod.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from agent_runtime.a2a import legacy
from agent_runtime.a2a.errors import (
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotFoundError,
)
from agent_runtime.a2a.protocol import PushConfig
from agent_runtime.a2a.task import Task
from agent_runtime.errors import InputError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.webhooks import LARGEST, Target, check_webhook
from agent_runtime.state.records import PUSH, TASK, Hook, Run, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.spec.runs import WebhooksSpec
    from agent_runtime.state.store import Store

_PUSH = PUSH + "_"
_MARK = PUSH
"""In a webhook's body: which config it is of."""
_MOST = 10
NOT_SUPPORTED = "this agent does not call its clients (`runs.webhooks` is not set): follow the task's stream"
TOKEN_HEADER = "x-a2a-notification-token"  # noqa: S105 - a name


@dataclass(frozen=True)
class Pushes:
    """Keeps the configs beside the run that began the task, and makes webhooks of them."""

    store: Store
    spec: WebhooksSpec | None

    @property
    def supported(self) -> bool:
        """Whether the spec allows any address."""
        return self.spec is not None

    def check(self, config: PushConfig) -> None:
        """Refuses a config before its task is there.

        Raises:
            PushNotificationNotSupportedError: The spec allows no address.
            InvalidParamsError: It does not allow this one.
        """
        if self.spec is None:
            raise PushNotificationNotSupportedError(NOT_SUPPORTED)
        try:
            check_webhook(config.url, self.spec)
        except InputError as error:
            raise InvalidParamsError(str(error).replace("`webhook`", "url")) from None

    async def set(self, task: Task, config: PushConfig) -> PushConfig:
        """Keeps a config; another one with its id goes."""
        self.check(config)
        config = config.model_copy(update={"id": config.id or str(uuid4()), "task_id": task.id})
        others = _configs(task.runs[0]).keys() - {config.id}
        if len(others) >= _MOST:
            raise InvalidParamsError(f"task {task.id} has {_MOST} configs, which is the most: delete one")
        kept = config.model_dump(by_alias=True, exclude_none=True)
        await self.store.update_run(task.runs[0], {_PUSH + config.id: kept})
        return config

    def get(self, task: Task, identifier: str) -> PushConfig:
        """A config; the first one where none is named. Raises TaskNotFoundError where there is none."""
        found = _configs(task.runs[0])
        if identifier and identifier not in found:
            raise TaskNotFoundError(f"task {task.id} has no push notification config {identifier}")
        if not found:
            raise TaskNotFoundError(f"task {task.id} has no push notification config")
        return PushConfig.model_validate(found[identifier or min(found)])

    def all(self, task: Task) -> list[PushConfig]:
        """All configs of a task."""
        return [PushConfig.model_validate(one) for _, one in sorted(_configs(task.runs[0]).items())]

    async def delete(self, task: Task, identifier: str) -> None:
        """Forgets a config, if there is one."""
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", identifier) and identifier in _configs(task.runs[0]):
            await self.store.update_run(task.runs[0], {_PUSH + identifier: None})

    async def hooks(self, run: Run, values: Mapping[str, Any] | None) -> list[Hook]:
        """What is to be sent when a run ends as it is given; nothing for one that is of no task."""
        root = await self._root(run)
        configs = _configs(root) if root is not None else {}
        if root is None or not configs:
            return []
        task = Task((root, run) if root.run_id != run.run_id else (run,), values or {})
        return [_hook(task, identifier, config) for identifier, config in configs.items()]

    def now(self, task: Task, identifier: str = "") -> list[Hook]:
        """What is to be sent of a task as it is, to one config or to all."""
        found = _configs(task.runs[0])
        return [_hook(task, one, config) for one, config in found.items() if identifier in {"", one}]

    def content(self, hook: Hook) -> dict[str, Any] | None:
        """What is sent for a webhook that is a push notification; None where it is another one."""
        return hook.body["told"] if _MARK in hook.body else None

    async def target(self, hook: Hook) -> Target | None:
        """Where a push notification goes, as its config is now; None where that was deleted, or this is none."""
        mark = hook.body.get(_MARK)
        root = await self.store.run(hook.thread_id, mark["root"]) if mark else None
        kept = _configs(root).get(mark["config"]) if root is not None and mark else None
        if kept is None:
            return None
        config = PushConfig.model_validate(kept)
        headers = {TOKEN_HEADER: config.token} if config.token else {}
        proof = config.authentication
        if proof is not None and proof.scheme and proof.credentials:
            headers["authorization"] = f"{proof.scheme} {proof.credentials}"
        return Target(config.url, headers)

    async def _root(self, run: Run) -> Run | None:
        """The run that began the task, as it is kept now."""
        first = run.metadata.get(TASK)
        return None if first is None else await self.store.run(run.thread_id, first or run.run_id)


def _hook(task: Task, identifier: str, config: Mapping[str, Any]) -> Hook:
    told = _told(task, config, whole=True)
    if len(dumps(told)) > LARGEST:
        # The client can get the rest by the task's id.
        told = _told(task, config, whole=False)
    run = task.newest
    body = {_MARK: {"root": task.runs[0].run_id, "config": identifier}, "told": told}
    name = f"{run.run_id}:{run.epoch}:{identifier}:{task.state}"
    return Hook(name, run.run_id, run.thread_id, run.epoch, config["url"], body, now())


def _told(task: Task, config: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    told = task.as_json(history=0, artifacts=whole)
    return legacy.result("GetTask", told) if config.get("isLegacy") else {"task": told}


def _configs(run: Run) -> dict[str, dict[str, Any]]:
    return {name.removeprefix(_PUSH): value for name, value in run.metadata.items() if name.startswith(_PUSH)}
