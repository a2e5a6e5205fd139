"""What the operator counts; served on `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from apm_operator import __version__

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

RECONCILES = Counter("apm_reconciles", "Passes over one agent, by how they ended.", ("result",), registry=REGISTRY)
RECONCILE_SECONDS = Histogram(
    "apm_reconcile_seconds",
    "Time of one pass over one agent.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
    registry=REGISTRY,
)
API_CALLS = Counter(
    "apm_api_calls",
    "Calls of the Kubernetes API apart from watches, by verb, kind and HTTP status (0: no answer).",
    ("verb", "kind", "code"),
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge("apm_queue_depth", "Agents that wait for a pass now.", registry=REGISTRY)
QUEUE_AGE = Gauge("apm_queue_oldest_seconds", "How long the agent that waits longest has waited.", registry=REGISTRY)
ACTIVE = Gauge("apm_reconciles_active", "Passes that are being made now.", registry=REGISTRY)
QUEUE_RETRIES = Counter("apm_queue_retries", "Passes that are to be tried again.", registry=REGISTRY)
WATCH_AGE = Gauge(
    "apm_watch_age_seconds",
    "Time since a watch last gave a sign of life (an event, a bookmark, or being opened).",
    ("resource", "namespace"),
    registry=REGISTRY,
)
WATCH_MISSED = Counter(
    "apm_watch_missed",
    "Changes that a periodic listing found and the watch had not reported.",
    ("resource",),
    registry=REGISTRY,
)
AGENTS = Gauge("apm_agents", "AgentDeployments by the reason of their Ready condition.", ("reason",), registry=REGISTRY)
_AGENT = ("namespace", "agent")
AGENT_READY = Gauge(
    "apm_agent_ready",
    "1 if an agent's condition Ready is true, else 0, with the condition's reason.",
    (*_AGENT, "reason"),
    registry=REGISTRY,
)
AGENT_REPLICAS = Gauge("apm_agent_replicas", "Pods that an agent is to have.", _AGENT, registry=REGISTRY)
AGENT_REPLICAS_READY = Gauge("apm_agent_replicas_ready", "Pods of an agent that are ready.", _AGENT, registry=REGISTRY)
AGENT_RESTARTS = Gauge(
    "apm_agent_pod_restarts",
    "How often the containers of an agent's present pods were started again.",
    _AGENT,
    registry=REGISTRY,
)
AGENT_AUTOSCALING = Gauge(
    "apm_agent_autoscaling_active",
    "1 if the condition Autoscaling of an agent that is to be scaled is true, else 0, with the condition's reason.",
    (*_AGENT, "reason"),
    registry=REGISTRY,
)
OF_AGENTS = (AGENT_READY, AGENT_REPLICAS, AGENT_REPLICAS_READY, AGENT_RESTARTS, AGENT_AUTOSCALING)
LAST_SUCCESS = Gauge(
    "apm_operator_reconcile_last_success_timestamp_seconds",
    "When a pass last ended well, in seconds since 1970.",
    registry=REGISTRY,
)
BUILD = Gauge("apm_operator_build_info", "1; the label tells the release.", ("version",), registry=REGISTRY)
BUILD.labels(__version__).set(1)
ANOMALOUS = Gauge(
    "apm_agent_anomalous",
    "1 while a series of an agent is not as usual for the hour of the week; else the series is not there.",
    (*_AGENT, "series"),
    registry=REGISTRY,
)
ANOMALY_AGENTS = Gauge(
    "apm_anomaly_agents", "Agents by the reason of their condition Anomalous.", ("reason",), registry=REGISTRY
)
ANOMALY_SOURCE_UP = Gauge(
    "apm_anomaly_source_up",
    "1 if the Prometheus that anomalies are looked for in could be asked last time; 0 as well where none is set.",
    registry=REGISTRY,
)
LEADER = Gauge("apm_leader", "1 while this process leads, else 0.", registry=REGISTRY)


class Totals(Collector):
    """Counters that are kept elsewhere, in the statuses of resources: they go on after a restart of the operator."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self.family = (name, documentation, labels)
        self._values: dict[tuple[str, ...], float] = {}
        REGISTRY.register(self)

    def set(self, labels: tuple[str, ...], value: float) -> None:
        """What has been counted so far."""
        self._values[labels] = value

    def clear(self) -> None:
        """Forget those whose resources may be gone."""
        self._values.clear()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """For the registry."""
        name, documentation, labels = self.family
        family = CounterMetricFamily(name, documentation, labels=labels)
        for each, value in self._values.items():
            family.add_metric(each, value)
        yield family


_POLICY = ("namespace", "policy")
BACKUP_LAST_SUCCESS = Gauge(
    "apm_backup_last_success_timestamp_seconds",
    "When the last good backup was finished, in seconds since 1970.",
    _POLICY,
    registry=REGISTRY,
)
BACKUP_LAST_VERIFIED = Gauge(
    "apm_backup_last_verified_timestamp_seconds",
    "When a backup was last proven to restore, in seconds since 1970.",
    _POLICY,
    registry=REGISTRY,
)
BACKUP_NEXT = Gauge(
    "apm_backup_next_schedule_timestamp_seconds",
    "When the next backup is due, in seconds since 1970.",
    _POLICY,
    registry=REGISTRY,
)
BACKUP_OVERDUE = Gauge(
    "apm_backup_overdue_seconds",
    "For how long a good backup has been due by the policy's own schedule; 0 while none is.",
    _POLICY,
    registry=REGISTRY,
)
BACKUP_UNPROVEN = Gauge(
    "apm_backup_verification_overdue_seconds",
    "For how long a good backup has been due to be proven, by the policy's own schedule; 0 while none is.",
    _POLICY,
    registry=REGISTRY,
)
BACKUP_SIZE = Gauge("apm_backup_size_bytes", "Size of the last good backup.", _POLICY, registry=REGISTRY)
BACKUP_DOCUMENTS = Gauge("apm_backup_documents", "Documents in the last good backup.", _POLICY, registry=REGISTRY)
BACKUP_DURATION = Gauge(
    "apm_backup_duration_seconds", "Time that the last good backup took.", _POLICY, registry=REGISTRY
)
BACKUP_FAILURES = Totals("apm_backup_failures", "Backups that have failed, by reason.", (*_POLICY, "reason"))
BACKUP_MISSED = Totals("apm_backup_missed", "Runs that did not take place when they were due.", _POLICY)
BACKUP_STORED = Gauge(
    "apm_backup_stored", "Backups in the storage, `all` or `verified`.", (*_POLICY, "state"), registry=REGISTRY
)
BACKUP_EXPIRES = Gauge(
    "apm_backup_expires_timestamp_seconds",
    "When the retention may remove a backup, in seconds since 1970.",
    ("namespace", "backup"),
    registry=REGISTRY,
)
RESTORE_FINISHED = Gauge(
    "apm_restore_finished_timestamp_seconds",
    "When a restore ended, in seconds since 1970, and how: `Completed` or `Failed`.",
    ("namespace", "restore", "phase"),
    registry=REGISTRY,
)
OF_BACKUPS = (
    *(BACKUP_LAST_SUCCESS, BACKUP_LAST_VERIFIED, BACKUP_NEXT, BACKUP_OVERDUE, BACKUP_UNPROVEN, BACKUP_SIZE),
    *(BACKUP_DOCUMENTS, BACKUP_DURATION, BACKUP_FAILURES, BACKUP_MISSED, BACKUP_STORED, BACKUP_EXPIRES),
    RESTORE_FINISHED,
)
REPORT_OVERDUE = Gauge(
    "apm_report_overdue_seconds",
    "For how long a report has been due by the AgentReport's own schedule; 0 while none is.",
    ("namespace", "report"),
    registry=REGISTRY,
)
TOKEN_REVIEWS = Counter(
    "apm_token_reviews", "Tokens that agents have asked about, by what came of it.", ("result",), registry=REGISTRY
)
CERTIFICATE_EXPIRY = Gauge(
    "apm_agent_certificate_expiry_timestamp_seconds",
    "When an agent's certificate ends, in seconds since 1970.",
    _AGENT,
    registry=REGISTRY,
)
CERTIFICATE_LIFE = Gauge(
    "apm_agent_certificate_life_seconds",
    "From when an agent's certificate was made until it ends. It is renewed after two thirds of that.",
    _AGENT,
    registry=REGISTRY,
)
