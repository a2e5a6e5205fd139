"""An agent in this pod, put together from its config."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import structlog

from agent_runtime import outbound
from agent_runtime.auth.authenticator import Authenticator
from agent_runtime.clients import Clients
from agent_runtime.errors import CallError, ConflictError, UnavailableError
from agent_runtime.metrics import Metrics
from agent_runtime.runs.executor import Executor, Limits
from agent_runtime.runs.input import check_input
from agent_runtime.runs.service import TEMPORARY, RunService, refuse_unfit
from agent_runtime.runs.worker import Worker
from agent_runtime.spec.scalars import seconds
from agent_runtime.state.failures import redact_failures
from agent_runtime.state.link import StateLink
from agent_runtime.state.records import ThreadQuery, now
from agent_runtime.tls.material import Material
from agent_runtime.workflow.build import build_graph

if TYPE_CHECKING:
    from datetime import datetime

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agent_runtime.settings import Settings
    from agent_runtime.spec.agent import RuntimeConfig
    from agent_runtime.state.store import Store

log = structlog.get_logger()

_STEPS = 1000
"""Most supersteps of a run whose workflow sets no limit; only workflows without cycles may go without."""
_SWEEP = 60.0
_SWEPT = 100
_LONGEST_LIFE = 36500 * 86400.0
"""Seconds; calendars end some thousand years later, and what a spec says may not."""
_TEMPORARY_LIFE = timedelta(minutes=10)


class Agent:
    """The graph, its state, and what executes and serves its runs."""

    def __init__(self, config: RuntimeConfig, settings: Settings) -> None:
        """Raises ConfigError if the config can't be run."""
        self.config = config
        self.settings = settings
        self.metrics = Metrics()
        self.started_at = now()
        self.draining = False
        self.material = Material.mounted(settings.tls_dir, settings.trust_dir) if config.tls else None
        self.clients = Clients(self.material)
        self.secrets = outbound.Secrets(settings.secrets_dir)
        self.graph = build_graph(config, self.clients, self.secrets)
        self.authenticator = Authenticator(config, settings, self.clients)
        self.store = _store(config, settings, self.secrets)
        self.link = StateLink(self.store, self._begin, self.metrics)
        self._worker: Worker | None = None
        self._runs: RunService | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def assistant_id(self) -> str:
        """The id of the agent's one assistant: the same in every pod, and after every restart."""
        return str(uuid5(NAMESPACE_URL, f"{self.config.agent.namespace}/{self.config.agent.name}"))

    @property
    def runs(self) -> RunService:
        """What clients can do with runs.

        Raises:
            UnavailableError: The state was not reached yet.
        """
        if self._runs is None:
            raise UnavailableError(f"the agent is not ready: {self.link.problem}")
        return self._runs

    @property
    def live(self) -> bool:
        """Whether the process does its work; says nothing about MongoDB."""
        return not any(task.done() for task in self._tasks) and (self._worker is None or self._worker.healthy)

    def start(self) -> None:
        """Begins to look for the state; runs are taken once it is there."""
        self._tasks = [asyncio.create_task(self.link.watch()), asyncio.create_task(self._sweep_forever())]

    def drain(self) -> None:
        """Gets ready to end: no longer ready, and running runs stop where others can go on with them."""
        self.draining = True
        if self._worker is not None:
            self._worker.drain()

    async def close(self) -> None:
        """Ends what runs and gives up all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._worker is not None:
            await self._worker.close()
        await self.store.close()
        await self.clients.close()

    def _begin(self, saver: BaseCheckpointSaver[Any]) -> None:
        redact_failures(saver, self.settings.redaction)
        self.graph.checkpointer = saver
        limits = _limits(self.config)
        self._worker = Worker(
            self.store,
            Executor(self.graph, limits, self.metrics, self.settings.redaction),
            self.metrics,
            max_runs=self.settings.max_runs,
            lease_timeout=self.settings.lease_timeout,
        )
        workflow = self.config.spec.workflow
        check = (lambda value: check_input(value, workflow.state)) if workflow else refuse_unfit
        self._runs = RunService(self.store, self._worker, self.graph, check)
        self._worker.start()

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            with suppress(UnavailableError):
                await self.sweep()

    async def sweep(self) -> None:
        """Removes threads past their time to live, and left-over threads of stateless runs."""
        if self._worker is None:
            return
        state = self.config.spec.state
        old: dict[str, datetime] = {}
        if state is not None and state.ttl is not None:
            limit = now() - timedelta(seconds=min(seconds(state.ttl), _LONGEST_LIFE))
            old |= dict.fromkeys(await self.store.idle_since(limit, _SWEPT), limit)
        query = ThreadQuery(metadata={TEMPORARY: True}, limit=_SWEPT, sort_by="updated_at", descending=False)
        limit = now() - _TEMPORARY_LIFE
        stateless = await self.store.threads(query)
        old |= {thread.thread_id: limit for thread in stateless if thread.updated_at < limit}
        removed = [thread_id for thread_id, limit in old.items() if await self._remove(self._worker, thread_id, limit)]
        if removed:
            log.info("removed old threads", count=len(removed))

    async def _remove(self, worker: Worker, thread_id: str, limit: datetime) -> bool:
        """Removes a thread unless it was written to after `limit`, be it only now."""
        with suppress(ConflictError):
            async with worker.hold(thread_id):
                thread = await self.store.thread(thread_id)
                if thread is not None and thread.updated_at < limit:
                    await self.store.delete_thread(thread_id)
                    return True
        return False


def _limits(config: RuntimeConfig) -> Limits:
    workflow = config.spec.workflow
    limits = workflow.limits if workflow else None
    wall_clock = seconds(limits.wall_clock) if limits and limits.wall_clock else None
    return Limits((limits and limits.steps) or _STEPS, wall_clock)


def _store(config: RuntimeConfig, settings: Settings, secrets: outbound.Secrets) -> Store:
    if config.spec.state is None:
        from agent_runtime.state.memory import MemoryStore  # noqa: PLC0415 - only what the agent uses is loaded
        from agent_runtime.state.room import Room  # noqa: PLC0415

        room = Room(settings.memory_threads, settings.memory_bytes)
        # A graph of one's own may have channels that are made up of their history.
        return MemoryStore(room, histories=config.spec.graph is None)
    from agent_runtime.state.mongodb import MongoStore, tls_options  # noqa: PLC0415 - likewise

    mongodb = config.spec.state.mongodb

    def uri() -> str:
        try:
            return secrets.read(mongodb.uri_secret_ref)
        except CallError as error:
            raise UnavailableError(str(error)) from error

    def options() -> dict[str, Any]:
        return tls_options(mongodb.tls, settings.secrets_dir) if mongodb.tls else {}

    agent = f"{config.agent.namespace}/{config.agent.name}"
    return MongoStore(uri, mongodb.database, agent, settings.threads, options)
