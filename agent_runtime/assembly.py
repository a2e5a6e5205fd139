"""The pieces of an agent that its config decides on. Only what an agent uses is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.crons.memory import MemoryCrons
from agent_runtime.crons.metrics import CronMetrics
from agent_runtime.crons.service import Crons
from agent_runtime.crons.ticker import Ticker
from agent_runtime.errors import CallError, UnavailableError
from agent_runtime.runs.executor import Limits
from agent_runtime.runs.sweeper import Sweeper
from agent_runtime.spec.runs import RunsSpec
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.uses import uses_events

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from agent_runtime import outbound
    from agent_runtime.clients import Clients
    from agent_runtime.crons.store import CronStore
    from agent_runtime.events.assembly import Events
    from agent_runtime.items.base import Items
    from agent_runtime.mcp.servers import MCPServers
    from agent_runtime.metrics import Metrics
    from agent_runtime.part import Part
    from agent_runtime.resilience.assembly import Resilience
    from agent_runtime.runs.service import RunService
    from agent_runtime.runs.worker import Worker
    from agent_runtime.settings import Settings
    from agent_runtime.spec.agent import RuntimeConfig
    from agent_runtime.state.checkpoints.options import Options
    from agent_runtime.state.connection import MongoConnection
    from agent_runtime.state.store import Store

_STEPS = 1000
"""Most supersteps of a run whose workflow sets no limit; only workflows without cycles may go without."""


def limits(config: RuntimeConfig) -> Limits:
    """How far a run may go."""
    workflow = config.spec.workflow
    given = workflow.limits if workflow else None
    wall_clock = seconds(given.wall_clock) if given and given.wall_clock else None
    return Limits((given and given.steps) or _STEPS, wall_clock, (config.spec.runs or RunsSpec()).attempts)


def connection(
    config: RuntimeConfig, settings: Settings, secrets: outbound.Secrets, metrics: Metrics
) -> MongoConnection | None:
    """The connection to the agent's MongoDB; None for an agent without `state`."""
    if config.spec.state is None:
        return None
    from agent_runtime.state.connection import MongoConnection, tls_options  # noqa: PLC0415 - only what is used is loaded
    from agent_runtime.state.metrics import StateMetrics  # noqa: PLC0415 - likewise

    mongodb = config.spec.state.mongodb

    def uri() -> str:
        try:
            return secrets.read(mongodb.uri_secret_ref)
        except CallError as error:
            raise UnavailableError(str(error)) from error

    def tls() -> dict[str, Any]:
        return tls_options(mongodb.tls, settings.secrets_dir) if mongodb.tls else {}

    return MongoConnection(uri, mongodb.database, tls, StateMetrics(metrics.registry))


def items(config: RuntimeConfig, connection: MongoConnection | None, secrets: outbound.Secrets) -> Items:
    """What the agent remembers beside its threads."""
    if connection is None:
        from agent_runtime.items.memory import MemoryItems  # noqa: PLC0415 - only what is used is loaded

        return MemoryItems()
    from agent_runtime.items.mongo import MongoItems  # noqa: PLC0415 - likewise

    return MongoItems(connection, config.agent.key, options(config, secrets).sealer)


def options(config: RuntimeConfig, secrets: outbound.Secrets) -> Options:
    """How the agent's state is kept in MongoDB."""
    from agent_runtime.state.checkpoints.options import Options  # noqa: PLC0415 - only what is used is loaded

    assert config.spec.state is not None  # noqa: S101 - else there is no connection
    return Options.of(config.spec.state, secrets.read)


def events(
    config: RuntimeConfig,
    connection: MongoConnection | None,
    metrics: Metrics,
    *,
    runs: Callable[[], RunService],
    outgoing: tuple[Clients, outbound.Secrets, Resilience],
    lease_timeout: float,
) -> Events | None:
    """What it has to do with events, and pushes out with what `outgoing` says; None where that is nothing."""
    if not uses_events(config.spec):
        return None
    from agent_runtime.events.assembly import Events, storages  # noqa: PLC0415 - only what is used is loaded
    from agent_runtime.events.sink import Outgoing  # noqa: PLC0415 - likewise

    sinks = Outgoing(config, *outgoing)
    sealer = options(config, outgoing[1]).sealer if connection else lambda: None
    kept = storages(config, connection, sealer)
    return Events.of(config, kept, metrics.registry, runs, sinks, lease_timeout=lease_timeout)


def crons(
    config: RuntimeConfig, connection: MongoConnection | None, metrics: Metrics, runs: Callable[[], RunService]
) -> Crons:
    """Runs that begin by the clock; `runs` is asked once there are any."""
    kept: CronStore = MemoryCrons()
    if connection is not None:
        from agent_runtime.crons.mongo import MongoCrons  # noqa: PLC0415 - only what is used is loaded

        kept = MongoCrons(connection, config.agent.key)
    return Crons(kept, Ticker(kept, config, CronMetrics(metrics.registry), runs), runs)


async def check_layout(connection: MongoConnection, config: RuntimeConfig) -> None:
    """Returns if no older release works on the agent's state. Raises UnavailableError."""
    from agent_runtime.state.mongo.layout import Layout  # noqa: PLC0415 - only what is used is loaded

    await Layout(connection, config.agent.key).check()


def index_watch(connection: MongoConnection, config: RuntimeConfig, metrics: Metrics) -> Part:
    """What tells of queries that find no index."""
    from agent_runtime.state.index_watch import IndexWatch  # noqa: PLC0415 - only what is used is loaded

    return IndexWatch(connection, config.agent.key, metrics)


def mcp_servers(
    config: RuntimeConfig, http: httpx.AsyncClient, secrets: outbound.Secrets, resilience: Resilience, metrics: Metrics
) -> MCPServers | None:
    """The MCP servers whose tools the agent uses; None where there are none."""
    if not config.spec.mcp_servers:
        return None
    from agent_runtime.mcp.servers import MCPServers  # noqa: PLC0415 - only what is used is loaded

    return MCPServers(config.spec.mcp_servers, http, secrets, resilience.breakers, metrics.registry)


def sweeper(config: RuntimeConfig, store: Store, worker: Worker) -> Sweeper:
    """What removes old threads."""
    state = config.spec.state
    return Sweeper(store, worker, seconds(state.ttl) if state and state.ttl else None)


def store(
    config: RuntimeConfig, settings: Settings, connection: MongoConnection | None, secrets: outbound.Secrets
) -> Store:
    """Where threads and runs are kept.

    Raises:
        ConfigError: The key of `state.encryption` can't be used.
    """
    if connection is None:
        from agent_runtime.state.memory import MemoryStore  # noqa: PLC0415 - only what is used is loaded
        from agent_runtime.state.room import Room  # noqa: PLC0415 - likewise

        room = Room(settings.memory_threads, settings.memory_bytes)
        # A graph of one's own may have channels that are made up of their history.
        return MemoryStore(room, histories=config.spec.graph is None)
    from agent_runtime.state.mongodb import MongoStore  # noqa: PLC0415 - likewise

    return MongoStore(connection, config.agent.key, options(config, secrets))
