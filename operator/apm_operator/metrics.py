"""What the operator counts; served on `/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

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
LEADER = Gauge("apm_leader", "1 while this process leads, else 0.", registry=REGISTRY)
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
BACKUP_SIZE = Gauge("apm_backup_size_bytes", "Size of the last good backup.", _POLICY, registry=REGISTRY)
BACKUP_DOCUMENTS = Gauge("apm_backup_documents", "Documents in the last good backup.", _POLICY, registry=REGISTRY)
BACKUP_DURATION = Gauge(
    "apm_backup_duration_seconds", "Time that the last good backup took.", _POLICY, registry=REGISTRY
)
BACKUP_FAILURES = Gauge(
    "apm_backup_failures_total",
    "Failed Backups that are still there, by reason.",
    (*_POLICY, "reason"),
    registry=REGISTRY,
)
BACKUP_MISSED = Gauge(
    "apm_backup_missed_total", "Runs that did not take place when they were due.", _POLICY, registry=REGISTRY
)
BACKUP_STORED = Gauge(
    "apm_backup_stored", "Backups in the storage, `all` or `verified`.", (*_POLICY, "state"), registry=REGISTRY
)
BACKUP_EXPIRES = Gauge(
    "apm_backup_expires_timestamp_seconds",
    "When the retention may remove a backup, in seconds since 1970.",
    ("namespace", "backup"),
    registry=REGISTRY,
)
OF_BACKUPS = (
    *(BACKUP_LAST_SUCCESS, BACKUP_LAST_VERIFIED, BACKUP_NEXT, BACKUP_OVERDUE, BACKUP_SIZE, BACKUP_DOCUMENTS),
    *(BACKUP_DURATION, BACKUP_FAILURES, BACKUP_MISSED, BACKUP_STORED, BACKUP_EXPIRES),
)
TOKEN_REVIEWS = Counter(
    "apm_token_reviews", "Tokens that agents have asked about, by what came of it.", ("result",), registry=REGISTRY
)
CERTIFICATE_EXPIRY = Gauge(
    "apm_agent_certificate_expiry_timestamp_seconds",
    "When an agent's certificate ends, in seconds since 1970.",
    ("namespace", "name"),
    registry=REGISTRY,
)
