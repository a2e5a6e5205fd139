"""What the dashboard shows, section by section."""

from __future__ import annotations

from deploy.dashboard.panel import AGENT, SPACE, WINDOW, Panel, failing, graph, newest, number, quantiles, rate

_ONE = "{{namespace}}/{{agent}}"
_RUNS = f"sum(rate(apm_agent_runs_total{{{AGENT}}}[{WINDOW}]))"
_FAILED = f'sum(rate(apm_agent_runs_total{{{AGENT}, status=~"error|timeout"}}[{WINDOW}]))'

OVERVIEW: tuple[Panel, ...] = (
    number("Agents that are ready", "short", f"sum(apm_agent_ready{{{AGENT}}})"),
    number("Agents", "short", f"count(apm_agent_ready{{{AGENT}}})"),
    number("Runs per second", "reqps", _RUNS),
    number(
        "Failed runs",
        "percentunit",
        f"({_FAILED} or vector(0)) / {_RUNS}",
        "Runs that ended with an error or a timeout.",
    ),
    number(
        "Cost", "short", f"sum(increase(apm_agent_model_cost_total{{{AGENT}}}[$__range]))", "By the models' `price`."
    ),
    number("Dead letters", "short", f"sum({newest('apm_agent_events_dead_letters', 'namespace', 'agent')})"),
    number("Late backups", "short", f"sum(apm_backup_overdue_seconds{{{SPACE}}} > bool 0)"),
)

AGENTS: tuple[Panel, ...] = (
    graph("Agents by reason", "short", ("sum by (reason) (apm_agents)", "{{reason}}")),
    graph(
        "Pods",
        "short",
        (newest("apm_agent_replicas", "namespace", "agent"), f"{_ONE} wanted"),
        (newest("apm_agent_replicas_ready", "namespace", "agent"), f"{_ONE} ready"),
    ),
    graph("Restarts of pods", "short", (newest("apm_agent_pod_restarts", "namespace", "agent"), _ONE)),
    graph("Memory", "bytes", (f"process_resident_memory_bytes{{{AGENT}}}", "{{pod}}")),
    graph("CPU", "percentunit", (f"rate(process_cpu_seconds_total{{{AGENT}}}[{WINDOW}])", "{{pod}}")),
    graph("Event loop lag", "s", (f"apm_agent_event_loop_lag_seconds{{{AGENT}}}", "{{pod}}")),
    graph("Requests by status", "reqps", (rate("apm_agent_http_requests_total", "code"), "{{code}}")),
    graph(
        "Requests refused for their caller", "reqps", (failing("apm_agent_refused_requests_total", "code"), "{{code}}")
    ),
    graph(
        "Rate limits",
        "reqps",
        (rate("apm_agent_rate_limit_checks_total", "result", "window"), "{{result}} {{window}}"),
    ),
    graph("Spans sent", "ops", (failing("apm_agent_spans_total", "result"), "{{result}}")),
    graph("Releases", "short", (f"sum by (version) (apm_agent_build_info{{{AGENT}}})", "{{version}}")),
    graph(
        "Certificates end in",
        "s",
        (f"{newest('apm_agent_certificate_expiry_timestamp_seconds', 'namespace', 'agent')} - time()", _ONE),
    ),
)

RUNS: tuple[Panel, ...] = (
    graph("Runs by status", "reqps", (rate("apm_agent_runs_total", "status"), "{{status}}")),
    graph("Duration of runs", "s", *quantiles("apm_agent_run_duration_seconds")),
    graph(
        "Queue",
        "short",
        (newest("apm_agent_runs_queued", "namespace", "agent"), f"{_ONE} not ended"),
        (newest("apm_agent_runs_waiting", "namespace", "agent"), f"{_ONE} waiting"),
    ),
    graph("Oldest run that waits", "s", (newest("apm_agent_runs_oldest_queued_seconds", "namespace", "agent"), _ONE)),
    graph("Runs that execute", "short", (f"apm_agent_runs_running{{{AGENT}}}", "{{pod}}")),
    graph("Runs refused", "reqps", (rate("apm_agent_runs_refused_total", "namespace", "agent"), _ONE)),
    graph("Supersteps", "ops", (rate("apm_agent_supersteps_total", "namespace", "agent"), _ONE)),
    graph("Duration of nodes", "s", *quantiles("apm_agent_node_duration_seconds", "node")),
    graph("Attempts of nodes", "ops", (rate("apm_agent_node_attempts_total", "node", "result"), "{{node}} {{result}}")),
    graph("Retries", "ops", (failing("apm_agent_retries_total", "category"), "{{category}}")),
    graph("Approvals that wait", "short", (newest("apm_agent_approvals_open", "namespace", "agent"), _ONE)),
)

MODELS: tuple[Panel, ...] = (
    graph("Calls of models", "reqps", (rate("apm_agent_model_calls_total", "model", "result"), "{{model}} {{result}}")),
    graph("Duration of calls", "s", *quantiles("apm_agent_model_call_duration_seconds", "model")),
    graph("Tokens", "short", (rate("apm_agent_model_tokens_total", "model", "direction"), "{{model}} {{direction}}")),
    graph("Cost in an hour", "short", (f"3600 * {rate('apm_agent_model_cost_total', 'namespace', 'agent')}", _ONE)),
    graph(
        "Budget used today",
        "percentunit",
        (newest("apm_agent_budget_used_ratio", "namespace", "agent", "resource"), f"{_ONE} {{{{resource}}}}"),
    ),
    graph("Refused by budgets", "reqps", (failing("apm_agent_budget_refusals_total", "level"), "{{level}}")),
    graph("Calls of tools", "reqps", (rate("apm_agent_tool_calls_total", "tool", "result"), "{{tool}} {{result}}")),
    graph(
        "Calls of integrations",
        "reqps",
        (failing("apm_agent_integration_calls_total", "integration", "result"), "{{integration}} {{result}}"),
    ),
    graph("Calls by MCP", "reqps", (failing("apm_agent_mcp_calls_total", "server", "result"), "{{server}} {{result}}")),
    graph(
        "Breakers",
        "short",
        (f"max by (dependency) (apm_agent_breaker_state{{{AGENT}}}) or vector(0)", "{{dependency}}"),
        about="0 closed, 1 half open, 2 open.",
    ),
)

EVENTS: tuple[Panel, ...] = (
    graph("Events that came in", "ops", (rate("apm_agent_events_accepted_total", "namespace", "agent"), _ONE)),
    graph(
        "Deliveries",
        "ops",
        (rate("apm_agent_events_delivered_total", "consumer", "outcome"), "{{consumer}} {{outcome}}"),
    ),
    graph("Time to delivery", "s", *quantiles("apm_agent_events_lag_seconds", "consumer")),
    graph("Pending", "short", (newest("apm_agent_events_pending", "namespace", "agent"), _ONE)),
    graph("Dead letters", "short", (newest("apm_agent_events_dead_letters", "namespace", "agent"), _ONE)),
    graph("Refused", "ops", (failing("apm_agent_events_refused_total", "reason"), "{{reason}}")),
    graph("Ticks of crons", "ops", (failing("apm_agent_crons_ticks_total", "result"), "{{result}}")),
)

STATE: tuple[Panel, ...] = (
    graph("Commands of MongoDB", "s", *quantiles("apm_agent_mongodb_command_duration_seconds", "command")),
    graph("Failed commands", "ops", (failing("apm_agent_mongodb_command_failures_total", "command"), "{{command}}")),
    graph(
        "Connections",
        "short",
        (f"apm_agent_mongodb_connections{{{AGENT}}}", "{{pod}} open"),
        (f"apm_agent_mongodb_connections_used{{{AGENT}}}", "{{pod}} used"),
    ),
    graph("Checkpoints written", "Bps", (rate("apm_agent_checkpoint_written_bytes_total", "namespace", "agent"), _ONE)),
    graph("Time to keep a checkpoint", "s", *quantiles("apm_agent_checkpoint_write_duration_seconds")),
    graph("Size of the database", "bytes", (newest("apm_agent_mongodb_data_bytes", "namespace", "agent"), _ONE)),
    graph(
        "Disk of MongoDB",
        "bytes",
        (newest("apm_agent_mongodb_filesystem_used_bytes", "namespace", "agent"), f"{_ONE} used"),
        (newest("apm_agent_mongodb_filesystem_size_bytes", "namespace", "agent"), f"{_ONE} size"),
    ),
)

_POLICY = "{{namespace}}/{{policy}}"
BACKUPS: tuple[Panel, ...] = (
    graph("Last good backup was", "s", (f"time() - apm_backup_last_success_timestamp_seconds{{{SPACE}}}", _POLICY)),
    graph("Last proof was", "s", (f"time() - apm_backup_last_verified_timestamp_seconds{{{SPACE}}}", _POLICY)),
    graph("Late by", "s", (f"apm_backup_overdue_seconds{{{SPACE}}}", _POLICY)),
    graph("Proof late by", "s", (f"apm_backup_verification_overdue_seconds{{{SPACE}}}", _POLICY)),
    graph("Size", "bytes", (f"apm_backup_size_bytes{{{SPACE}}}", _POLICY)),
    graph("Duration", "s", (f"apm_backup_duration_seconds{{{SPACE}}}", _POLICY)),
    graph("Stored", "short", (f"apm_backup_stored{{{SPACE}}}", _POLICY + " {{state}}")),
    graph(
        "Failures in a day",
        "short",
        (
            f"sum by (namespace, policy, reason) (increase(apm_backup_failures_total{{{SPACE}}}[1d])) or vector(0)",
            _POLICY + " {{reason}}",
        ),
    ),
    graph(
        "Restores ended",
        "s",
        (
            f"time() - apm_restore_finished_timestamp_seconds{{{SPACE}}} or vector(0)",
            "{{namespace}}/{{restore}} {{phase}}",
        ),
        about="How long ago.",
    ),
)

OPERATOR: tuple[Panel, ...] = (
    number("Leaders", "short", "sum(apm_leader)", "1, or nobody leads."),
    number("Last pass that ended well", "s", "time() - max(apm_operator_reconcile_last_success_timestamp_seconds)"),
    graph("Passes", "ops", (rate("apm_reconciles_total", "result", only=""), "{{result}}")),
    graph("Duration of passes", "s", *quantiles("apm_reconcile_seconds", only="")),
    graph("Queue", "short", ("max(apm_queue_depth)", "agents that wait")),
    graph("Oldest in the queue", "s", ("max(apm_queue_oldest_seconds)", "age")),
    graph("Calls of the API", "reqps", (rate("apm_api_calls_total", "verb", "code", only=""), "{{verb}} {{code}}")),
    graph(
        "Watches",
        "s",
        ("max by (resource) (apm_watch_age_seconds)", "{{resource}}"),
        about="Time without a sign of life.",
    ),
    graph("Reviews of tokens", "ops", (failing("apm_token_reviews_total", "result", only=""), "{{result}}")),
)

SECTIONS = {
    "Overview": OVERVIEW,
    "Agents": AGENTS,
    "Runs": RUNS,
    "Models and cost": MODELS,
    "Events": EVENTS,
    "State": STATE,
    "Backups": BACKUPS,
    "Operator": OPERATOR,
}
