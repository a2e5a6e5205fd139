"""What has to fire of backups, reports, MongoDB and the operator, and what has to stay quiet."""

from unit.deploy.alerts.case import OF_POD, OF_POLICY, ONE, Case, at, ready

_BACKUPS = (
    Case(
        "ApmBackupLate",
        {f"apm_backup_overdue_seconds{OF_POLICY}": "0+60x200", f"apm_backup_duration_seconds{OF_POLICY}": "600x200"},
        "60m",
        {at(namespace="shop", policy="nightly"): "BackupPolicy nightly has no backup of its last turn"},
        "One has been due for 1h 0m 0s by the policy's own schedule.",
    ),
    Case(
        "ApmBackupLate",  # the first one, which has no duration yet
        {f"apm_backup_overdue_seconds{OF_POLICY}": "0+60x200"},
        "60m",
        {at(namespace="shop", policy="nightly"): "BackupPolicy nightly has no backup of its last turn"},
        "One has been due for 1h 0m 0s by the policy's own schedule.",
    ),
    Case(
        "ApmBackupLate",  # one that takes an hour is being made
        {f"apm_backup_overdue_seconds{OF_POLICY}": "0+60x200", f"apm_backup_duration_seconds{OF_POLICY}": "3600x200"},
        "70m",
    ),
    Case(
        "ApmBackupUnverified",
        {f"apm_backup_verification_overdue_seconds{OF_POLICY}": "0+60x600"},
        "400m",
        {at(namespace="shop", policy="nightly"): "The newest backup of BackupPolicy nightly is not proven to restore"},
        "The proof has been due for 6h 40m 0s. Nobody knows whether it is good.",
    ),
    Case("ApmBackupUnverified", {f"apm_backup_verification_overdue_seconds{OF_POLICY}": "0+60x300 0x300"}, "400m"),
    Case(
        "ApmReportLate",
        {'apm_report_overdue_seconds{namespace="shop",report="weekly"}': "0+60x600"},
        "130m",
        {at(namespace="shop", report="weekly"): "AgentReport weekly has sent no report of its last turn"},
        "One has been due for 2h 10m 0s by its own schedule.",
    ),
    Case(
        "ApmReportLate",
        {'apm_report_overdue_seconds{namespace="shop",report="weekly"}': "0+60x100 0x300"},
        "130m",
    ),
    Case(
        "ApmRestoreFailed",
        {'apm_restore_finished_timestamp_seconds{namespace="shop",restore="back",phase="Failed"}': "_ 60x2000"},
        "10m",
        {at(namespace="shop", restore="back", phase="Failed"): "Restore back has failed"},
    ),
    Case(
        "ApmRestoreFailed",
        {'apm_restore_finished_timestamp_seconds{namespace="shop",restore="back",phase="Completed"}': "_ 60x2000"},
        "10m",
    ),
    Case(
        "ApmRestoreFailed",
        {'apm_restore_finished_timestamp_seconds{namespace="shop",restore="back",phase="Failed"}': "_ 60x2000"},
        "25h",
    ),
)

_BUCKET = "apm_agent_mongodb_command_duration_seconds_bucket"
_FIND = 'namespace="shop",agent="one",pod="one-1",command="find"'
_MONGODB = (
    Case(
        "ApmMongoDBUnreachable",
        ready("StateUnavailable", 0),
        "2m",
        {at(namespace="shop"): "1 agents in shop do not reach their MongoDB"},
        interval="15s",
    ),
    Case("ApmMongoDBUnreachable", ready("PodsCrash", 0), "5m", interval="15s"),
    Case(
        "ApmMongoDBSlow",
        {
            f'{_BUCKET}{{{_FIND},le="1.0"}}': "0+50x60",
            f'{_BUCKET}{{{_FIND},le="5.0"}}': "0+100x60",
            f'{_BUCKET}{{{_FIND},le="+Inf"}}': "0+100x60",
        },
        "30m",
        {ONE: "MongoDB takes 4.92s for a command of agent one"},
    ),
    Case(
        "ApmMongoDBSlow",
        {
            f'{_BUCKET}{{{_FIND},le="0.1"}}': "0+100x60",
            f'{_BUCKET}{{{_FIND},le="1.0"}}': "0+100x60",
            f'{_BUCKET}{{{_FIND},le="+Inf"}}': "0+100x60",
        },
        "30m",
    ),
    Case(
        "ApmMongoDBFull",
        {
            f"apm_agent_mongodb_filesystem_used_bytes{OF_POD}": "9e9x60",
            f"apm_agent_mongodb_filesystem_size_bytes{OF_POD}": "1e10x60",
        },
        "15m",
        {ONE: "The disk of the MongoDB of agent one is 90% full"},
    ),
    Case(
        "ApmMongoDBFull",
        {
            f"apm_agent_mongodb_filesystem_used_bytes{OF_POD}": "5e9x60",
            f"apm_agent_mongodb_filesystem_size_bytes{OF_POD}": "1e10x60",
        },
        "15m",
    ),
)

_SYSTEM = at(namespace="apm-system")
_LEADS = {
    'apm_leader{namespace="apm-system",pod="a"}': "1x200",
    'apm_leader{namespace="apm-system",pod="b"}': "0x200",
}
_OPERATOR = (
    Case("ApmOperatorDown", {"up": "1x60"}, "3m", {(): "The operator is not there"}, interval="15s"),
    Case("ApmOperatorDown", _LEADS, "10m", interval="15s"),
    Case(
        "ApmOperatorWithoutLeader",
        {'apm_leader{namespace="apm-system",pod="a"}': "0x60", 'apm_leader{namespace="apm-system",pod="b"}': "0x60"},
        "3m",
        {_SYSTEM: "No pod of the operator in apm-system leads"},
        interval="15s",
    ),
    Case("ApmOperatorWithoutLeader", _LEADS, "10m", interval="15s"),
    Case(
        "ApmOperatorNotReconciling",
        {**_LEADS, 'apm_queue_oldest_seconds{namespace="apm-system",pod="a"}': "0+60x60"},
        "15m",
        {_SYSTEM: "The operator in apm-system does not deal with changes"},
    ),
    Case(
        "ApmOperatorNotReconciling",
        {
            **_LEADS,
            'apm_agents{namespace="apm-system",pod="a",reason="Ready"}': "3x200",
            'apm_reconciles_total{namespace="apm-system",pod="a",result="unchanged"}': "7x200",
        },
        "40m",
        {_SYSTEM: "The operator in apm-system does not deal with changes"},
    ),
    Case(
        "ApmOperatorNotReconciling",
        {
            **_LEADS,
            'apm_agents{namespace="apm-system",pod="a",reason="Ready"}': "3x200",
            'apm_queue_oldest_seconds{namespace="apm-system",pod="a"}': "2x200",
            'apm_reconciles_total{namespace="apm-system",pod="a",result="unchanged"}': "0+1x200",
        },
        "60m",
    ),
)

PLATFORM = (*_BACKUPS, *_MONGODB, *_OPERATOR)
