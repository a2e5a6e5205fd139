"""Alerts about one agent each."""

from __future__ import annotations

from deploy.alerts.rule import Alert, Group

_RESTS = "Suspended|Paused"
"""Reasons for which somebody wants it so."""
_NO_STATE = 'apm_agent_ready{reason="StateUnavailable"} == 0'
"""Told of once for all of them, by `ApmMongoDBUnreachable`."""


def _reason(metric: str) -> str:
    """Reason of the condition that is not true. As a label it would make another alert each time it changes."""
    asked = f"{metric}{{namespace='%s',agent='%s'}} == 0"
    return (
        f'{{{{ with printf "{asked}" $labels.namespace $labels.agent | query }}}}'
        '{{ . | first | label "reason" }}{{ end }}'
    )


_REASON = _reason("apm_agent_ready")

_AVAILABILITY = (
    Alert(
        name="ApmAgentDown",
        severity="critical",
        component="agent",
        expr=f"""
            max by (namespace, agent) (apm_agent_ready{{reason!~"{_RESTS}"}}) == 0
            and on (namespace, agent) apm_agent_replicas_ready == 0
            and on (namespace, agent) apm_agent_replicas > 0
            unless on (namespace, agent) {_NO_STATE}
        """,
        lasts="1m",
        summary=f"Agent {{{{ $labels.agent }}}} is down: {_REASON}",
        description="None of its pods is ready, so that nobody gets an answer.",
    ),
    Alert(
        name="ApmAgentCrashLooping",
        severity="warning",
        component="agent",
        # Between two restarts other reasons may show for a moment; or it runs for minutes, and ends each time.
        expr="""
            max by (namespace, agent) (max_over_time((apm_agent_ready{reason="PodsCrash"} == bool 0)[2m:15s])) == 1
            and on (namespace, agent) max by (namespace, agent) (apm_agent_ready) == 0
            or delta(max by (namespace, agent) (apm_agent_pod_restarts)[15m:1m]) >= 3
        """,
        lasts="2m",
        summary="Pods of agent {{ $labels.agent }} crash",
        description="They are started and end again. Pods of the version before may still serve; no new version comes.",
    ),
    Alert(
        name="ApmAgentNotReady",
        severity="warning",
        component="agent",
        expr=f'max by (namespace, agent) (apm_agent_ready{{reason!~"{_RESTS}|PodsCrash|StateUnavailable"}}) == 0',
        lasts="15m",
        summary=f"Agent {{{{ $labels.agent }}}} is not as its spec says: {_REASON}",
        description="Its condition Ready has not been true for 15 minutes; what was there before may go on serving.",
    ),
)

_WORK = (
    Alert(
        name="ApmAgentQueueGrowing",
        severity="warning",
        component="agent",
        expr="""
            max by (namespace, agent) (apm_agent_runs_oldest_queued_seconds) > 300
            or
            (
              min_over_time(max by (namespace, agent) (apm_agent_runs_queued)[15m:1m]) > 20
              and deriv(max by (namespace, agent) (apm_agent_runs_queued)[15m:1m]) > 0
            )
        """,
        lasts="5m",
        summary="Runs of agent {{ $labels.agent }} wait longer and longer",
        description="More runs come than it ends. Once `runs.maxQueued` is reached, callers are refused with 429.",
    ),
    Alert(
        name="ApmAgentRunsStuck",
        severity="warning",
        component="agent",
        expr="""
            min_over_time(sum by (namespace, agent) (apm_agent_runs_running)[30m:1m]) > 0
            and sum by (namespace, agent) (increase(apm_agent_runs_total[30m])) == 0
        """,
        lasts="5m",
        summary="Runs of agent {{ $labels.agent }} do not end",
        description="Some have executed all of the last 30 minutes, and not one has ended.",
    ),
    Alert(
        name="ApmAgentBudgetNearlySpent",
        severity="warning",
        component="agent",
        expr="max by (namespace, agent, resource) (apm_agent_budget_used_ratio) > 0.8",
        lasts="1m",
        summary="Agent {{ $labels.agent }} has spent {{ $value | humanizePercentage }} of its {{ $labels.resource }}",
        description="When it is spent, calls of models and new runs are refused until midnight UTC.",
    ),
    Alert(
        name="ApmAgentBreakerOpen",
        severity="warning",
        component="agent",
        expr="max by (namespace, agent, dependency) (apm_agent_breaker_state) >= 1",
        lasts="2m",
        summary="Agent {{ $labels.agent }} does not call {{ $labels.dependency }} any more",
        description="Too many calls have failed. Its breaker lets single ones try until they succeed.",
    ),
    Alert(
        name="ApmAgentDeadLetters",
        severity="warning",
        component="agent",
        expr="max by (namespace, agent) (apm_agent_events_dead_letters) > 0",
        lasts="1m",
        summary="{{ $value }} events of agent {{ $labels.agent }} could not be delivered",
        description="No more attempts are made: somebody has to have them delivered again, or remove them.",
    ),
    Alert(
        name="ApmAgentAnomalous",
        severity="warning",
        component="agent",
        # More than one pod of the operator may tell of it while one takes over.
        expr="max by (namespace, agent, series) (apm_agent_anomalous) == 1",
        lasts="15m",
        summary='{{ reReplaceAll "_" " " $labels.series }} of agent {{ $labels.agent }}: not as usual',
        description="It is far from this hour of the weeks before; the agent's condition Anomalous says how far.",
    ),
    Alert(
        name="ApmAgentAutoscalingInactive",
        severity="warning",
        component="agent",
        # The condition of an agent that rests stays as it was.
        expr=f"""
            max by (namespace, agent) (apm_agent_autoscaling_active) == 0
            unless on (namespace, agent) apm_agent_ready{{reason=~"{_RESTS}"}}
        """,
        lasts="15m",
        summary=f"Agent {{{{ $labels.agent }}}} is not scaled by its load: {_reason('apm_agent_autoscaling_active')}",
        description="The number of pods stays as it is, or follows some of the targets only: more load has to wait.",
    ),
    Alert(
        name="ApmCertificateExpiring",
        severity="critical",
        component="agent",
        expr="(apm_agent_certificate_expiry_timestamp_seconds - time()) / apm_agent_certificate_life_seconds < 0.2",
        lasts="5m",
        summary="The certificate of agent {{ $labels.agent }} has {{ $value | humanizePercentage }} of its life left",
        description="It should have been renewed after two thirds. Once it has ended, nobody can connect to the agent.",
    ),
)


def groups() -> tuple[Group, ...]:
    """Whether agents are there is looked at more often."""
    return (Group("apm-agent-availability", _AVAILABILITY, "15s"), Group("apm-agent-work", _WORK, "30s"))
