"""An agent in this pod, put together from its config."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from agent_runtime import assembly, outbound
from agent_runtime.a2a.push import Pushes
from agent_runtime.auth.authenticator import Authenticator
from agent_runtime.clients import Clients
from agent_runtime.errors import NotFoundError, UnavailableError
from agent_runtime.health import current as current_health
from agent_runtime.health.checks import Checks
from agent_runtime.integrations.task import owner
from agent_runtime.items.owned import OwnedItems
from agent_runtime.metrics import Metrics
from agent_runtime.resilience.assembly import Resilience
from agent_runtime.runs.deadlines import Deadlines
from agent_runtime.runs.executor import Executor
from agent_runtime.runs.following import Following
from agent_runtime.runs.gauges import Gauges
from agent_runtime.runs.input import check_input, refuse_unfit
from agent_runtime.runs.interrupts import Interrupts
from agent_runtime.runs.leavings import Leavings
from agent_runtime.runs.quota import Quota
from agent_runtime.runs.service import RunService
from agent_runtime.runs.settlement import Settlement
from agent_runtime.runs.threads import Threads
from agent_runtime.runs.webhooks import Webhooks
from agent_runtime.runs.worker import Worker
from agent_runtime.spec.runs import RunsSpec
from agent_runtime.spec.uses import uses_knowledge
from agent_runtime.state.failures import redact_failures
from agent_runtime.state.link import StateLink
from agent_runtime.state.records import now
from agent_runtime.tls.material import Material
from agent_runtime.tracing import build as tracing
from agent_runtime.workflow.build import build_graph

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agent_runtime.integrations.access import Integrations
    from agent_runtime.integrations.knowledge.base import KnowledgeBase
    from agent_runtime.part import Part
    from agent_runtime.settings import Settings
    from agent_runtime.spec.agent import RuntimeConfig
    from agent_runtime.spec.runs import WebhooksSpec


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
        self.tracing = tracing.build(config, settings.pod_name, self.secrets, self.metrics.registry)
        self.connection = assembly.connection(config, settings, self.secrets, self.metrics)
        self.resilience = Resilience.of(
            config, settings.secrets_dir, self.secrets.read, self.metrics.resilience, self.connection
        )
        if config.spec.graph is not None:
            self._install_integrations()
        self.mcp_servers = assembly.mcp_servers(config, self.clients.http, self.secrets, self.resilience, self.metrics)
        self.graph = build_graph(
            config,
            self.clients,
            self.secrets,
            self.resilience,
            lambda: self.integrations,
            mcp_servers=self.mcp_servers,
            events=lambda: self.events,
        )
        self.authenticator = Authenticator(config, settings, self.clients)
        self.events = assembly.events(
            config,
            self.connection,
            self.metrics,
            runs=lambda: self.runs,
            outgoing=(self.clients, self.secrets, self.resilience),
            lease_timeout=settings.lease_timeout,
        )
        self.store = assembly.store(config, settings, self.connection, self.secrets)
        self.items = assembly.items(config, self.connection, self.secrets)
        self.link = StateLink(self.store, self._prepare, self.metrics)
        self.checks = Checks(self)
        webhooks = config.spec.runs.webhooks if config.spec.runs else None
        self.pushes = Pushes(self.store, webhooks)
        self.webhooks = self._make_webhooks(webhooks) if webhooks else None
        self.crons = assembly.crons(config, self.connection, self.metrics, lambda: self.runs)
        self._parts: tuple[Part, ...] = (self.crons.ticker,)
        if self.webhooks:
            self._parts += (self.webhooks,)
        if self.mcp_servers is not None:
            self._parts += (self.mcp_servers,)
        if self.connection is not None:
            self._parts += (assembly.index_watch(self.connection, config, self.metrics),)
        if self.events is not None:
            self._parts += (self.events,)
        self._worker: Worker | None = None
        self._runs: RunService | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def assistant_id(self) -> str:
        """The id of the agent's one assistant: the same in every pod, and after every restart."""
        return str(uuid5(NAMESPACE_URL, self.config.agent.key))

    @cached_property
    def integrations(self) -> Integrations:
        """The services for messages, bookings, knowledge and customers. Raises ConfigError as `places` does."""
        from agent_runtime.integrations.access import Integrations  # noqa: PLC0415 - only what is used is loaded
        from agent_runtime.integrations.metrics import IntegrationMetrics  # noqa: PLC0415 - likewise

        return Integrations.configured(
            self.config.spec.integrations,
            self.clients.http,
            self.secrets,
            knowledge=self._own_knowledge,
            breakers=self.resilience.breakers,
            metrics=IntegrationMetrics(self.metrics.registry),
        )

    @property
    def knowledge(self) -> KnowledgeBase:
        """The documents in the agent's own MongoDB.

        Raises:
            NotFoundError: The agent keeps none.
        """
        if self._own_knowledge is None:
            raise NotFoundError(
                "this agent keeps no documents: set `integrations.knowledgeBase` without a `baseURL`, and "
                "`state.mongodb`"
            )
        if self.integrations.serves_knowledge:
            raise NotFoundError("this agent's knowledge base is a service of its own: load documents there")
        return self._own_knowledge

    @cached_property
    def _own_knowledge(self) -> KnowledgeBase | None:
        if self.connection is None or not uses_knowledge(self.config.spec):
            return None
        from agent_runtime.integrations.knowledge.build import build  # noqa: PLC0415 - only what is used is loaded

        agent = self.config.agent.key
        return build(
            self.config.spec,
            self.connection,
            agent,
            self.clients.http,
            secrets=self.secrets,
            resilience=self.resilience,
        )

    def _install_integrations(self) -> None:
        """Lets code of the user's own, which nobody hands anything, find them."""
        from agent_runtime.integrations import current  # noqa: PLC0415 - only what is used is loaded

        current.install(self.integrations)

    def _remove_integrations(self) -> None:
        from agent_runtime.integrations import current  # noqa: PLC0415 - only what is used is loaded

        current.remove(self.integrations)

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
    def threads(self) -> Threads:
        """What clients can do with whole threads. Raises UnavailableError as `runs` does."""
        service = self.runs
        return Threads(service.store, service.worker, self.graph.checkpointer, service.interrupts)

    @property
    def live(self) -> bool:
        """Whether the process does its work; says nothing about MongoDB."""
        if any(task.done() for task in self._tasks):
            return False
        return self._worker is None or (self._worker.healthy and all(part.healthy for part in self._parts))

    def start(self) -> None:
        """Begins to look for the state; runs are taken once it is there."""
        current_health.install(self.checks)
        self._tasks = [asyncio.create_task(self.link.watch())]

    def drain(self) -> None:
        """Gets ready to end: no longer ready, and running runs stop where others can go on with them."""
        self.draining = True
        for part in self._parts:
            part.drain()
        if self._worker is not None:
            self._worker.drain()

    async def close(self) -> None:
        """Ends what runs and gives up all connections."""
        current_health.remove(self.checks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(part.close() for part in self._parts), return_exceptions=True)
        if self._worker is not None:
            await self._worker.close()
        if self._runs is not None:
            await self._runs.close()
        await self.store.close()
        await self.resilience.close()
        await self.clients.close()
        if self.tracing is not None:
            await self.tracing.close()
        if self.config.spec.graph is not None:
            self._remove_integrations()

    def _make_webhooks(self, spec: WebhooksSpec) -> Webhooks:
        return Webhooks(
            spec,
            self.store,
            self.clients.http,
            self.secrets,
            metrics=self.metrics,
            assistant_id=self.assistant_id,
            notifier=self.pushes,
        )

    async def _prepare(self) -> None:
        if self.connection is not None:
            await assembly.check_layout(self.connection, self.config)
        saver = await self.store.prepare()
        await self.items.prepare()
        for part in self._parts:
            await part.prepare()
        self._begin(saver)

    def _begin(self, saver: BaseCheckpointSaver[Any]) -> None:
        redact_failures(saver, self.settings.redaction)
        self.graph.checkpointer = saver
        if self.graph.store is None:
            self.graph.store = OwnedItems(self.items, owner, asyncio.get_running_loop())
        limits, bounds = assembly.limits(self.config), self.config.spec.runs or RunsSpec()
        deadlines = Deadlines(lambda: self.runs, self.metrics)
        interrupts = Interrupts(self.store, self.graph, self.metrics, deadlines.wake)
        executor = Executor(self.graph, limits, self.metrics, self.settings.redaction)
        self._worker = Worker(
            self.store,
            executor,
            Settlement(self.store, executor, interrupts, Leavings(self.store), self.webhooks),
            self.metrics,
            max_runs=self.settings.max_runs or bounds.concurrency,
            lease_timeout=self.settings.lease_timeout,
            tracing=self.tracing,
        )
        workflow = self.config.spec.workflow
        check = (lambda value: check_input(value, workflow.state)) if workflow else refuse_unfit
        quota = Quota(self.store, bounds.max_queued, self.metrics)
        following = Following(self.store, self._worker, executor)
        self._runs = RunService(
            self.store, self._worker, self.graph, check, quota, self.resilience, following, interrupts, bounds
        )
        gauges = Gauges(self.store, self.resilience.budgets, self.connection, self.metrics)
        self._parts += (assembly.sweeper(self.config, self.store, self._worker), deadlines, gauges)
        self._worker.start()
        for part in self._parts:
            part.start()
