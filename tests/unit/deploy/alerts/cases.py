"""What has to fire, and what has to stay quiet: here of agents, and `CASES` has all."""

from unit.deploy.alerts.case import OF_ONE, OF_POD, ONE, Case, at, ready
from unit.deploy.alerts.platform_cases import PLATFORM

_BREAKER = 'apm_agent_breaker_state{namespace="shop",agent="one",pod="one-1",dependency="model default"}'
_SERIES = '{namespace="shop",agent="one",pod="operator-1",series="tokens_per_run"}'


def _scaled(reason: str) -> str:
    return f'apm_agent_autoscaling_active{{namespace="shop",agent="one",reason="{reason}"}}'


def _pods(wanted: int, ready: str) -> dict[str, str]:
    return {f"apm_agent_replicas{OF_ONE}": f"{wanted}x60", f"apm_agent_replicas_ready{OF_ONE}": ready}


def _runs(good: str, bad: str) -> dict[str, str]:
    name = "apm_agent_runs_total"
    return {
        f'{name}{{namespace="shop",agent="one",pod="one-1",status="success"}}': good,
        f'{name}{{namespace="shop",agent="one",pod="one-1",status="error"}}': bad,
    }


def _slow(every: str, quick: str) -> dict[str, str]:
    name = "apm_agent_run_duration_seconds"
    return {
        f"{name}_count{OF_POD}": every,
        f'{name}_bucket{{namespace="shop",agent="one",pod="one-1",le="60.0"}}': quick,
        'apm_agent_runs_total{namespace="shop",agent="one",pod="one-1",status="success"}': every,
    }


_AVAILABILITY = (
    Case(
        "ApmAgentDown",
        ready("PodsCrash", 0) | _pods(1, "0x60"),
        "2m",
        {ONE: "Agent one is down: PodsCrash"},
        interval="15s",
    ),
    Case("ApmAgentDown", ready("RollingOut", 0) | _pods(2, "1x60"), "10m", interval="15s"),  # an old one serves
    Case("ApmAgentDown", ready("Ready", 1) | _pods(0, "0x60"), "10m", interval="15s"),  # scaled to zero
    Case("ApmAgentDown", ready("Suspended", 0) | _pods(1, "0x60"), "10m", interval="15s"),
    Case("ApmAgentDown", ready("StateUnavailable", 0) | _pods(1, "0x60"), "10m", interval="15s"),  # told of by another
    Case("ApmAgentDown", ready("RollingOut", 0) | _pods(1, "0 0 1x60"), "2m", interval="15s"),  # a pod that was moved
    Case("ApmAgentCrashLooping", ready("PodsCrash", 0), "5m", {ONE: "Pods of agent one crash"}, interval="15s"),
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
        ready("Ready", 1) | {f"apm_agent_pod_restarts{OF_ONE}": "0x5 1x3 2x3 3x3 4x3 5x3"},
        "20m",
        {ONE: "Pods of agent one crash"},
    ),
    Case("ApmAgentCrashLooping", ready("Ready", 1) | {f"apm_agent_pod_restarts{OF_ONE}": "7x8 8x40"}, "20m"),
    Case("ApmAgentCrashLooping", ready("RollingOut", 0), "10m", interval="15s"),
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
        ready("SecretMissing", 0),
        "20m",
        {ONE: "Agent one is not as its spec says: SecretMissing"},
    ),
    Case("ApmAgentNotReady", ready("RollingOut", 0, 10) | ready("Ready", 1), "20m"),
    Case("ApmAgentNotReady", ready("Suspended", 0), "20m"),
)

_WORK = (
    Case(
        "ApmAgentQueueGrowing",
        {f"apm_agent_runs_oldest_queued_seconds{OF_POD}": "0+60x60"},
        "15m",
        {ONE: "Runs of agent one wait longer and longer"},
    ),
    Case(
        "ApmAgentQueueGrowing",
        {f"apm_agent_runs_queued{OF_POD}": "30+2x60"},
        "30m",
        {ONE: "Runs of agent one wait longer and longer"},
    ),
    Case(
        "ApmAgentQueueGrowing",  # many that get fewer
        {f"apm_agent_runs_queued{OF_POD}": "200-2x60", f"apm_agent_runs_oldest_queued_seconds{OF_POD}": "20x60"},
        "30m",
    ),
    Case(
        "ApmAgentRunsStuck",
        {f"apm_agent_runs_running{OF_POD}": "3x60", **_runs("7x60", "0x60")},
        "40m",
        {ONE: "Runs of agent one do not end"},
    ),
    Case("ApmAgentRunsStuck", {f"apm_agent_runs_running{OF_POD}": "3x60", **_runs("7+1x60", "0x60")}, "40m"),
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
        {f"apm_agent_events_dead_letters{OF_POD}": "0 3x20"},
        "5m",
        {ONE: "3 events of agent one could not be delivered"},
    ),
    Case("ApmAgentDeadLetters", {f"apm_agent_events_dead_letters{OF_POD}": "0x20"}, "5m"),
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
    Case("ApmAgentAutoscalingInactive", ready("Ready", 1), "30m"),  # nothing is to scale it
    Case("ApmAgentAutoscalingInactive", ready("Suspended", 0) | {_scaled("KedaNotReady"): "0x40"}, "30m"),
    Case(
        "ApmCertificateExpiring",
        {
            f"apm_agent_certificate_expiry_timestamp_seconds{OF_ONE}": "7200x200",
            f"apm_agent_certificate_life_seconds{OF_ONE}": "7200x200",
        },
        "108m",
        {ONE: "The certificate of agent one has 10% of its life left"},
    ),
    Case(
        "ApmCertificateExpiring",
        {
            f"apm_agent_certificate_expiry_timestamp_seconds{OF_ONE}": "7200x200",
            f"apm_agent_certificate_life_seconds{OF_ONE}": "7200x200",
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


CASES = (*_AVAILABILITY, *_WORK, *_OBJECTIVES, *PLATFORM)
