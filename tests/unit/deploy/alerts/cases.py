"""What has to fire, and what has to stay quiet: series as promtool writes them, `start+step x times`.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """Some series, and what comes of them.

    Attributes:
        series: values by series, one for each interval.
        at: when the alert is looked at, from the start.
        summaries: the alerts that fire then: labels besides those the rule itself gives, and the summary.
        description: where the rule's has a template in it.
        window: of the alert that is meant, where several have its name; "" for all of them.
    """

    alert: str
    series: dict[str, str]
    at: str
    summaries: dict[tuple[tuple[str, str], ...], str] = field(default_factory=dict)
    description: str = ""
    interval: str = "1m"
    window: str = ""


def at(**labels: str) -> tuple[tuple[str, str], ...]:
    """Labels of an alert."""
    return tuple(labels.items())


ONE = at(namespace="shop", agent="one")
_ONE = '{namespace="shop",agent="one"}'
_POD = '{namespace="shop",agent="one",pod="one-1"}'
_POLICY = '{namespace="shop",policy="nightly"}'


_BREAKER = 'apm_agent_breaker_state{namespace="shop",agent="one",pod="one-1",dependency="model default"}'
_SERIES = '{namespace="shop",agent="one",pod="operator-1",series="tokens_per_run"}'


def _scaled(reason: str) -> str:
    return f'apm_agent_autoscaling_active{{namespace="shop",agent="one",reason="{reason}"}}'


def _ready(reason: str, value: int, times: int = 60) -> dict[str, str]:
    return {f'apm_agent_ready{{namespace="shop",agent="one",reason="{reason}"}}': f"{value}x{times}"}


def _pods(wanted: int, ready: str) -> dict[str, str]:
    return {f"apm_agent_replicas{_ONE}": f"{wanted}x60", f"apm_agent_replicas_ready{_ONE}": ready}


def _runs(good: str, bad: str) -> dict[str, str]:
    name = "apm_agent_runs_total"
    return {
        f'{name}{{namespace="shop",agent="one",pod="one-1",status="success"}}': good,
        f'{name}{{namespace="shop",agent="one",pod="one-1",status="error"}}': bad,
    }


def _slow(every: str, quick: str) -> dict[str, str]:
    name = "apm_agent_run_duration_seconds"
    return {
        f"{name}_count{_POD}": every,
        f'{name}_bucket{{namespace="shop",agent="one",pod="one-1",le="60.0"}}': quick,
        'apm_agent_runs_total{namespace="shop",agent="one",pod="one-1",status="success"}': every,
    }


_AVAILABILITY = (
    Case(
        "ApmAgentDown",
        _ready("PodsCrash", 0) | _pods(1, "0x60"),
        "2m",
        {ONE: "Agent one is down: PodsCrash"},
        interval="15s",
    ),
    Case("ApmAgentDown", _ready("RollingOut", 0) | _pods(2, "1x60"), "10m", interval="15s"),  # an old one serves
    Case("ApmAgentDown", _ready("Ready", 1) | _pods(0, "0x60"), "10m", interval="15s"),  # scaled to zero
    Case("ApmAgentDown", _ready("Suspended", 0) | _pods(1, "0x60"), "10m", interval="15s"),
    Case("ApmAgentDown", _ready("StateUnavailable", 0) | _pods(1, "0x60"), "10m", interval="15s"),  # told of by another
    Case("ApmAgentDown", _ready("RollingOut", 0) | _pods(1, "0 0 1x60"), "2m", interval="15s"),  # a pod that was moved
    Case("ApmAgentCrashLooping", _ready("PodsCrash", 0), "5m", {ONE: "Pods of agent one crash"}, interval="15s"),
    Case(
        "ApmAgentCrashLooping",
        {
            'apm_agent_ready{namespace="shop",agent="one",reason="PodsCrash"}': "0 0 0 _ _ 0 0 _ _ 0 0 _ _ 0 0 _ _ 0",
            'apm_agent_ready{namespace="shop",agent="one",reason="RollingOut"}': "_ _ _ 0 0 _ _ 0 0 _ _ 0 0 _ _ 0 0 _",
        },
        "4m",
        {ONE: "Pods of agent one crash"},
        interval="15s",
    ),
    Case(
        "ApmAgentCrashLooping",
        _ready("Ready", 1) | {f"apm_agent_pod_restarts{_ONE}": "0x5 1x3 2x3 3x3 4x3 5x3"},
        "20m",
        {ONE: "Pods of agent one crash"},
    ),
    Case("ApmAgentCrashLooping", _ready("Ready", 1) | {f"apm_agent_pod_restarts{_ONE}": "7x8 8x40"}, "20m"),
    Case("ApmAgentCrashLooping", _ready("RollingOut", 0), "10m", interval="15s"),
    Case(
        "ApmAgentCrashLooping",
        {
            'apm_agent_ready{namespace="shop",agent="one",reason="PodsCrash"}': "0 0 stale",
            'apm_agent_ready{namespace="shop",agent="one",reason="Ready"}': "_ _ 1x60",
        },
        "4m",
        interval="15s",
    ),
    Case(
        "ApmAgentNotReady",
        _ready("SecretMissing", 0),
        "20m",
        {ONE: "Agent one is not as its spec says: SecretMissing"},
    ),
    Case("ApmAgentNotReady", _ready("RollingOut", 0, 10) | _ready("Ready", 1), "20m"),
    Case("ApmAgentNotReady", _ready("Suspended", 0), "20m"),
)

_WORK = (
    Case(
        "ApmAgentQueueGrowing",
        {f"apm_agent_runs_oldest_queued_seconds{_POD}": "0+60x60"},
        "15m",
        {ONE: "Runs of agent one wait longer and longer"},
    ),
    Case(
        "ApmAgentQueueGrowing",
        {f"apm_agent_runs_queued{_POD}": "30+2x60"},
        "30m",
        {ONE: "Runs of agent one wait longer and longer"},
    ),
    Case(
        "ApmAgentQueueGrowing",  # many that get fewer
        {f"apm_agent_runs_queued{_POD}": "200-2x60", f"apm_agent_runs_oldest_queued_seconds{_POD}": "20x60"},
        "30m",
    ),
    Case(
        "ApmAgentRunsStuck",
        {f"apm_agent_runs_running{_POD}": "3x60", **_runs("7x60", "0x60")},
        "40m",
        {ONE: "Runs of agent one do not end"},
    ),
    Case("ApmAgentRunsStuck", {f"apm_agent_runs_running{_POD}": "3x60", **_runs("7+1x60", "0x60")}, "40m"),
    Case(
        "ApmAgentBudgetNearlySpent",
        {'apm_agent_budget_used_ratio{namespace="shop",agent="one",pod="one-1",resource="tokens"}': "0.85x60"},
        "5m",
        {at(namespace="shop", agent="one", resource="tokens"): "Agent one has spent 85% of its tokens"},
    ),
    Case(
        "ApmAgentBudgetNearlySpent",
        {'apm_agent_budget_used_ratio{namespace="shop",agent="one",pod="one-1",resource="tokens"}': "0.7x60"},
        "5m",
    ),
    Case(
        "ApmAgentBreakerOpen",
        # Half open while single calls try: it has not closed.
        {_BREAKER: "2 2 1 2 1 2 2"},
        "5m",
        {
            at(namespace="shop", agent="one", dependency="model default"): (
                "Agent one does not call model default any more"
            )
        },
    ),
    Case(
        "ApmAgentBreakerOpen",
        {_BREAKER: "0 2 0x10"},
        "5m",
    ),
    Case(
        "ApmAgentDeadLetters",
        {f"apm_agent_events_dead_letters{_POD}": "0 3x20"},
        "5m",
        {ONE: "3 events of agent one could not be delivered"},
    ),
    Case("ApmAgentDeadLetters", {f"apm_agent_events_dead_letters{_POD}": "0x20"}, "5m"),
    Case(
        "ApmAgentAnomalous",
        {f"apm_agent_anomalous{_SERIES}": "_x9 1x40"},
        "30m",
        {at(namespace="shop", agent="one", series="tokens_per_run"): "tokens per run of agent one: not as usual"},
    ),
    Case("ApmAgentAnomalous", {f"apm_agent_anomalous{_SERIES}": "1x12 stale"}, "30m"),  # over before long
    Case("ApmAgentAnomalous", {f"apm_agent_anomalous{_SERIES}": "1x12 stale _x3 1x14"}, "30m"),  # and again
    Case(
        "ApmAgentAutoscalingInactive",
        # The reason changes; that it isn't scaled does not.
        {_scaled("Pending"): "0x4 stale", _scaled("FailedGetResourceMetric"): "_x5 0x40"},
        "20m",
        {ONE: "Agent one is not scaled by its load: FailedGetResourceMetric"},
    ),
    Case(
        "ApmAgentAutoscalingInactive",  # pods that have just begun have no numbers
        {_scaled("FailedGetResourceMetric"): "0x5 stale", _scaled("Active"): "_x6 1x40"},
        "30m",
    ),
    Case("ApmAgentAutoscalingInactive", _ready("Ready", 1), "30m"),  # nothing is to scale it
    Case("ApmAgentAutoscalingInactive", _ready("Suspended", 0) | {_scaled("KedaNotReady"): "0x40"}, "30m"),
    Case(
        "ApmCertificateExpiring",
        {
            f"apm_agent_certificate_expiry_timestamp_seconds{_ONE}": "7200x200",
            f"apm_agent_certificate_life_seconds{_ONE}": "7200x200",
        },
        "108m",
        {ONE: "The certificate of agent one has 10% of its life left"},
    ),
    Case(
        "ApmCertificateExpiring",
        {
            f"apm_agent_certificate_expiry_timestamp_seconds{_ONE}": "7200x200",
            f"apm_agent_certificate_life_seconds{_ONE}": "7200x200",
        },
        "80m",
    ),
)


_FAIL, _LATE = "ApmAgentErrorBudgetBurn", "ApmAgentLatencyBudgetBurn"


_STEP = {"1h": "1m", "6h": "5m", "1d": "10m", "3d": "10m"}
"""Of the series, by window: days of minutes would take promtool minutes."""


def _fails(window: str, time: str, part: str, series: dict[str, str]) -> Case:
    told = {ONE: f"{part} of the runs of agent one fail"} if part else {}
    return Case(_FAIL, series, time, told, interval=_STEP[window], window=window)


def _lasts(window: str, time: str, part: str, series: dict[str, str]) -> Case:
    told = {ONE: f"{part} of the runs of agent one take longer than 60 s"} if part else {}
    return Case(_LATE, series, time, told, interval=_STEP[window], window=window)


_OBJECTIVES = (
    _fails("1h", "70m", "20%", _runs("0+8x300", "0+2x300")),
    _fails("1h", "75m", "", _runs("0+8x60 480+10x300", "0+2x60 120x300")),  # it is over
    _fails("1h", "70m", "", _runs("0x60 1x300", "0x60 1x300")),  # one of two runs
    _fails("6h", "400m", "10%", _runs("0+90x300", "0+10x300")),
    _fails("6h", "400m", "", _runs("0+95x300", "0+5x300")),
    _fails("1d", "1600m", "5%", _runs("0+95x300", "0+5x300")),
    _fails("1d", "1600m", "", _runs("0+98x300", "0+2x300")),
    _fails("3d", "4800m", "2%", _runs("0+98x600", "0+2x600")),
    _fails("3d", "4800m", "", _runs("0+995x600", "0+5x600")),
    _lasts("1h", "70m", "80%", _slow("0+10x300", "0+2x300")),
    _lasts("1h", "70m", "", _slow("0+10x300", "0+4x300")),
    _lasts("6h", "400m", "40%", _slow("0+10x300", "0+6x300")),
    _lasts("6h", "400m", "", _slow("0+10x300", "0+8x300")),
    _lasts("1d", "1600m", "20%", _slow("0+10x300", "0+8x300")),
    _lasts("1d", "1600m", "", _slow("0+10x300", "0+9x300")),
    _lasts("3d", "4800m", "10%", _slow("0+10x600", "0+9x600")),
    _lasts("3d", "4800m", "", _slow("0+100x600", "0+97x600")),
)

_BACKUPS = (
    Case(
        "ApmBackupLate",
        {f"apm_backup_overdue_seconds{_POLICY}": "0+60x200", f"apm_backup_duration_seconds{_POLICY}": "600x200"},
        "60m",
        {at(namespace="shop", policy="nightly"): "BackupPolicy nightly has no backup of its last turn"},
        "One has been due for 1h 0m 0s by the policy's own schedule.",
    ),
    Case(
        "ApmBackupLate",  # the first one, which has no duration yet
        {f"apm_backup_overdue_seconds{_POLICY}": "0+60x200"},
        "60m",
        {at(namespace="shop", policy="nightly"): "BackupPolicy nightly has no backup of its last turn"},
        "One has been due for 1h 0m 0s by the policy's own schedule.",
    ),
    Case(
        "ApmBackupLate",  # one that takes an hour is being made
        {f"apm_backup_overdue_seconds{_POLICY}": "0+60x200", f"apm_backup_duration_seconds{_POLICY}": "3600x200"},
        "70m",
    ),
    Case(
        "ApmBackupUnverified",
        {f"apm_backup_verification_overdue_seconds{_POLICY}": "0+60x600"},
        "400m",
        {at(namespace="shop", policy="nightly"): "The newest backup of BackupPolicy nightly is not proven to restore"},
        "The proof has been due for 6h 40m 0s. Nobody knows whether it is good.",
    ),
    Case("ApmBackupUnverified", {f"apm_backup_verification_overdue_seconds{_POLICY}": "0+60x300 0x300"}, "400m"),
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
        _ready("StateUnavailable", 0),
        "2m",
        {at(namespace="shop"): "1 agents in shop do not reach their MongoDB"},
        interval="15s",
    ),
    Case("ApmMongoDBUnreachable", _ready("PodsCrash", 0), "5m", interval="15s"),
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
            f"apm_agent_mongodb_filesystem_used_bytes{_POD}": "9e9x60",
            f"apm_agent_mongodb_filesystem_size_bytes{_POD}": "1e10x60",
        },
        "15m",
        {ONE: "The disk of the MongoDB of agent one is 90% full"},
    ),
    Case(
        "ApmMongoDBFull",
        {
            f"apm_agent_mongodb_filesystem_used_bytes{_POD}": "5e9x60",
            f"apm_agent_mongodb_filesystem_size_bytes{_POD}": "1e10x60",
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

CASES = (*_AVAILABILITY, *_WORK, *_OBJECTIVES, *_BACKUPS, *_MONGODB, *_OPERATOR)
