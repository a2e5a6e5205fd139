"""What the connection to MongoDB and the checkpoints in it count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram
from pymongo.monitoring import CommandListener, ConnectionPoolListener

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from pymongo.monitoring import (
        CommandFailedEvent,
        CommandStartedEvent,
        CommandSucceededEvent,
        ConnectionCheckedInEvent,
        ConnectionCheckedOutEvent,
        ConnectionCheckOutFailedEvent,
        ConnectionCheckOutStartedEvent,
        ConnectionClosedEvent,
        ConnectionCreatedEvent,
        ConnectionReadyEvent,
        PoolClearedEvent,
        PoolClosedEvent,
        PoolCreatedEvent,
        PoolReadyEvent,
    )

_COMMAND_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10)
_COMMANDS = frozenset(
    {"aggregate", "bulkWrite", "count", "createIndexes", "dbStats", "delete", "distinct", "explain", "find"}
    | {"findAndModify", "getMore", "hello", "insert", "listCollections", "listIndexes", "ping", "update"}
)


class StateMetrics(CommandListener, ConnectionPoolListener):
    """Is told by the driver of each command and connection. `registry` may be None, where nobody looks."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._commands = Histogram(
            "apm_agent_mongodb_command_duration_seconds",
            "Time that commands of MongoDB took, by command, as the driver sees it.",
            ["command"],
            buckets=_COMMAND_SECONDS,
            registry=registry,
        )
        self._failures = Counter(
            "apm_agent_mongodb_command_failures", "Commands of MongoDB that failed.", ["command"], registry=registry
        )
        self._connections = Gauge(
            "apm_agent_mongodb_connections", "Connections to MongoDB that are open.", registry=registry
        )
        self._used = Gauge("apm_agent_mongodb_connections_used", "Those of them that are in use.", registry=registry)
        self._waits = Counter(
            "apm_agent_mongodb_connection_failures", "How often no connection was to be had.", registry=registry
        )
        self.data = Gauge(
            "apm_agent_mongodb_data_bytes",
            "Size of the documents in the agent's database, of all agents that share it.",
            registry=registry,
        )
        self.filesystem_used = Gauge(
            "apm_agent_mongodb_filesystem_used_bytes", "Used room where MongoDB keeps its files.", registry=registry
        )
        self.filesystem_size = Gauge(
            "apm_agent_mongodb_filesystem_size_bytes", "All room where MongoDB keeps its files.", registry=registry
        )
        self.checkpoint_seconds = Histogram(
            "apm_agent_checkpoint_write_duration_seconds",
            "Time until a checkpoint was kept.",
            buckets=_COMMAND_SECONDS,
            registry=registry,
        )
        self.checkpoint_bytes = Counter(
            "apm_agent_checkpoint_written_bytes",
            "Size of what was written of checkpoints and of the writes of tasks, before compression.",
            registry=registry,
        )

    def started(self, event: CommandStartedEvent) -> None:
        """Nothing: what counts is how it ends."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Counts a command."""
        self._commands.labels(_name(event.command_name)).observe(event.duration_micros / 1e6)

    def failed(self, event: CommandFailedEvent) -> None:
        """Counts a command that failed."""
        name = _name(event.command_name)
        self._commands.labels(name).observe(event.duration_micros / 1e6)
        self._failures.labels(name).inc()

    def connection_created(self, event: ConnectionCreatedEvent) -> None:  # noqa: ARG002 - the driver passes it
        """Counts a connection."""
        self._connections.inc()

    def connection_closed(self, event: ConnectionClosedEvent) -> None:  # noqa: ARG002
        """Counts it no more."""
        self._connections.dec()

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None:  # noqa: ARG002
        """Counts a connection as used."""
        self._used.inc()

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None:  # noqa: ARG002
        """Counts it as used no more."""
        self._used.dec()

    def connection_check_out_failed(self, event: ConnectionCheckOutFailedEvent) -> None:  # noqa: ARG002
        """Counts a wait for a connection that was in vain."""
        self._waits.inc()

    def connection_check_out_started(self, event: ConnectionCheckOutStartedEvent) -> None:
        """Nothing."""

    def connection_ready(self, event: ConnectionReadyEvent) -> None:
        """Nothing."""

    def pool_created(self, event: PoolCreatedEvent) -> None:
        """Nothing."""

    def pool_ready(self, event: PoolReadyEvent) -> None:
        """Nothing."""

    def pool_cleared(self, event: PoolClearedEvent) -> None:
        """Nothing: the driver closes its connections one by one."""

    def pool_closed(self, event: PoolClosedEvent) -> None:
        """Nothing."""


def _name(command: str) -> str:
    """The label's value: of commands that nobody here sends there is to be no series each."""
    return command if command in _COMMANDS else "other"
