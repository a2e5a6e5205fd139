"""Alerts about what agents stand on: backups, MongoDB, the operator; and about reports."""

from __future__ import annotations

from deploy.alerts.rule import Alert, Group

_BACKUPS = (
    Alert(
        name="ApmBackupLate",
        severity="critical",
        component="backup",
        # Due by the policy's own schedule; twice the time that the last one took is not late yet.
        expr="""
            apm_backup_overdue_seconds
            > on (namespace, policy)
            (2 * (apm_backup_duration_seconds or apm_backup_overdue_seconds * 0) + 1800)
        """,
        lasts="5m",
        summary="BackupPolicy {{ $labels.policy }} has no backup of its last turn",
        description="One has been due for {{ $value | humanizeDuration }} by the policy's own schedule.",
    ),
    Alert(
        name="ApmBackupUnverified",
        severity="warning",
        component="backup",
        expr="apm_backup_verification_overdue_seconds > 21600",
        lasts="5m",
        summary="The newest backup of BackupPolicy {{ $labels.policy }} is not proven to restore",
        description="The proof has been due for {{ $value | humanizeDuration }}. Nobody knows whether it is good.",
    ),
    Alert(
        name="ApmRestoreFailed",
        severity="critical",
        component="backup",
        expr='time() - apm_restore_finished_timestamp_seconds{phase="Failed"} < 86400',
        lasts="",
        summary="Restore {{ $labels.restore }} has failed",
        description="Its message says what is there now. The alert ends after a day, or when the Restore is deleted.",
    ),
)

_REPORTS = (
    Alert(
        name="ApmReportLate",
        severity="warning",
        component="operator",
        # A report may begin an hour late, and its Job has three tries.
        expr="apm_report_overdue_seconds > 7200",
        lasts="5m",
        summary="AgentReport {{ $labels.report }} has sent no report of its last turn",
        description="One has been due for {{ $value | humanizeDuration }} by its own schedule.",
    ),
)

_MONGODB = (
    Alert(
        name="ApmMongoDBUnreachable",
        severity="critical",
        component="mongodb",
        expr='count by (namespace) (apm_agent_ready{reason="StateUnavailable"} == 0) > 0',
        lasts="30s",
        summary="{{ $value }} agents in {{ $labels.namespace }} do not reach their MongoDB",
        description="They accept no runs until they do. Runs that had begun go on from their last checkpoint.",
    ),
    Alert(
        name="ApmMongoDBSlow",
        severity="warning",
        component="mongodb",
        expr="""
            histogram_quantile(
              0.99, sum by (namespace, agent, le) (rate(apm_agent_mongodb_command_duration_seconds_bucket[5m]))
            ) > 1
        """,
        lasts="10m",
        summary="MongoDB takes {{ $value | humanizeDuration }} for a command of agent {{ $labels.agent }}",
        description="One command in a hundred takes at least as long; a run has several for each of its steps.",
    ),
    Alert(
        name="ApmMongoDBFull",
        severity="critical",
        component="mongodb",
        expr="""
            max by (namespace, agent) (apm_agent_mongodb_filesystem_used_bytes)
            / max by (namespace, agent) (apm_agent_mongodb_filesystem_size_bytes)
            > 0.85
        """,
        lasts="10m",
        summary="The disk of the MongoDB of agent {{ $labels.agent }} is {{ $value | humanizePercentage }} full",
        description="Without room MongoDB ends, or takes no more writes: then no run begins or goes on.",
    ),
)

_OPERATOR = (
    Alert(
        name="ApmOperatorDown",
        severity="critical",
        component="operator",
        expr="absent(apm_leader)",
        lasts="2m",
        summary="The operator is not there",
        description="Agents go on as they are; nothing is repaired, renewed or backed up, and nobody is told of it.",
    ),
    Alert(
        name="ApmOperatorWithoutLeader",
        severity="critical",
        component="operator",
        expr="sum by (namespace) (apm_leader) == 0",
        lasts="2m",
        summary="No pod of the operator in {{ $labels.namespace }} leads",
        description="They run and do nothing: nothing is repaired, renewed or backed up.",
    ),
    Alert(
        name="ApmOperatorNotReconciling",
        severity="critical",
        component="operator",
        expr="""
            max by (namespace) (apm_queue_oldest_seconds) > 300
            or
            (
              sum by (namespace) (increase(apm_reconciles_total[30m])) == 0
              and on () sum(apm_agents) > 0
              and on (namespace) sum by (namespace) (apm_leader) > 0
            )
        """,
        lasts="5m",
        summary="The operator in {{ $labels.namespace }} does not deal with changes",
        description="It runs and leads, and changes of agents wait, or no pass has been made for half an hour.",
    ),
)


def groups() -> tuple[Group, ...]:
    """Of backups, reports, MongoDB and the operator."""
    return (
        Group("apm-backups", _BACKUPS, "30s"),
        Group("apm-reports", _REPORTS, "30s"),
        Group("apm-mongodb", _MONGODB, "15s"),
        Group("apm-operator", _OPERATOR, "15s"),
    )
