"""Writes metrics.md, the list of all metrics, from the registries of the operator and of an agent's pod.

`python docs/metrics.py`, or `--check` to see that it is in step.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from agent_runtime.crons.metrics import CronMetrics
from agent_runtime.events.metrics import EventMetrics
from agent_runtime.integrations.metrics import IntegrationMetrics
from agent_runtime.mcp.metrics import MCPMetrics
from agent_runtime.metrics import Metrics
from agent_runtime.state.metrics import StateMetrics
from agent_runtime.tracing.metrics import TracingMetrics
from apm_operator.activator import counts
from apm_operator.metrics import REGISTRY, Totals

TARGET = Path(__file__).parent / "metrics.md"
OF_BACKUPS = ("apm_backup", "apm_restore")

LABELS = {
    "agent": "one for each AgentDeployment",
    "backup": "one for each Backup that is kept",
    "code": "statuses of HTTP, some 20",
    "command": "17 commands of MongoDB, and `other`",
    "category": "5 categories of failures",
    "consumer": "consumers of events in the spec: subscriptions, sinks, waiting nodes",
    "dependency": "what the spec names: models, hosts, agents, integrations, MCP servers",
    "direction": "2",
    "handler": "paths of the API, some 80",
    "integration": "4",
    "kind": "kinds that the operator reads or writes, some 20",
    "langgraph": "1",
    "level": "2: agent, account",
    "loop": "loops in the background of a pod, 13",
    "method": "ways of proof, 6",
    "model": "models of the spec; of a graph of one's own, its classes of models",
    "namespace": "namespaces with objects of the operator's kinds",
    "node": "nodes of the spec's workflows, or of the graph",
    "operation": "operations of integrations, some 40",
    "outcome": "5",
    "phase": "2",
    "place": "3",
    "policy": "one for each BackupPolicy",
    "query": "queries that the runtime watches, some 20",
    "reason": "reasons of conditions, some 40; of refusals, some 5",
    "report": "one for each AgentReport",
    "resource": "kinds that the operator watches, some 15; of budgets 2",
    "restore": "one for each Restore",
    "result": "some 10",
    "series": "5 for each agent",
    "server": "MCP servers of the spec",
    "state": "2",
    "status": "6",
    "tool": "tools of the spec",
    "verb": "7",
    "version": "1",
    "window": "windows of limits, 9",
}
"""How many values a label takes at most."""

UNITS = (
    ("_timestamp_seconds", "seconds since 1970"),
    ("_seconds", "seconds"),
    ("_bytes", "bytes"),
    ("_ratio", "0 to 1"),
    ("_model_cost", "currency of `price`"),
    ("_model_tokens", "tokens"),
    ("_info", ""),
)

HEAD = """\
# Metrics

This page is made from the registries themselves by `docs/metrics.py`. How they come to
Prometheus: [monitoring.md](monitoring.md).

A label takes few values: no ids, no addresses, nothing that users write. An agent's pod tells nothing of its own name:
Prometheus knows `namespace`, `pod` and `agent` of what it scrapes. `process_*` and `python_info` of the client library
are there beside what is listed, and with each counter and histogram `_created`.
"""
SECTIONS = {
    "Operator": "On the operator's `/metrics`, port 8080. Only the replica that leads tells of agents, backups and "
    "restores.",
    "Backups": "On the operator's `/metrics` too: read off the statuses, so that they go on after a restart.",
    "Agents": "On the `/metrics` of each pod of an agent, on its one port. What is counted over all pods is the same "
    "on each: take `max`.",
    "Activators": "On port 8081 of each activator: [autoscaling.md](autoscaling.md).",
}


@dataclass(frozen=True)
class Metric:
    """One family; `name` is that of its samples."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        """What its values are in."""
        bare = self.name.removesuffix("_total")
        return next((unit for suffix, unit in UNITS if bare.endswith(suffix)), "count")


def of_operator() -> Iterator[Metric]:
    """Those of the operator, backups and restores included."""
    return _metrics(REGISTRY)


def registry_of_agents() -> CollectorRegistry:
    """That of a pod whose agent uses everything."""
    registry = Metrics().registry
    for group in (CronMetrics, EventMetrics, IntegrationMetrics, MCPMetrics, StateMetrics, TracingMetrics):
        group(registry)
    return registry


def of_agents() -> Iterator[Metric]:
    """Those of such a pod."""
    return _metrics(registry_of_agents())


def of_activators() -> Iterator[Metric]:
    """Those of what stands in for an agent that may sleep."""
    for name, kind, label, meaning in counts.FAMILIES:
        yield Metric(name, kind, (label,) if label else (), meaning)


def by_section() -> dict[str, list[Metric]]:
    """All metrics, as the page has them."""
    own = [*of_operator()]
    backups = [each for each in own if each.name.startswith(OF_BACKUPS)]
    rest = [each for each in own if each not in backups]
    return {"Operator": rest, "Backups": backups, "Agents": [*of_agents()], "Activators": [*of_activators()]}


def page() -> str:
    """The whole page."""
    sections = by_section()
    used = {label for metrics in sections.values() for each in metrics for label in each.labels}
    if unknown := sorted(used - LABELS.keys()):
        raise SystemExit(f"docs/metrics.py: say in LABELS how many values `{unknown[0]}` takes")
    parts = [HEAD]
    for title, metrics in sections.items():
        rows = [
            f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} "
            f"| {each.unit} | {each.meaning} |"
            for each in sorted(metrics, key=lambda each: each.name)
        ]
        parts += [f"## {title}\n", f"{SECTIONS[title]}\n", *_table(("name", "type", "labels", "unit", "meaning"), rows)]
    rows = [f"| `{label}` | {LABELS[label]} |" for label in sorted(used)]
    parts += ["## Labels\n", *_table(("label", "values at most"), rows)]
    return "\n".join(parts)


def _metrics(registry: CollectorRegistry) -> Iterator[Metric]:
    for collector in registry._collector_to_names:  # noqa: SLF001 - an empty family does not tell its labels otherwise
        if isinstance(collector, MetricWrapperBase):
            # Likewise.
            yield _metric(collector._name, collector._type, collector._labelnames, collector._documentation)  # noqa: SLF001
        elif isinstance(collector, Totals):
            name, documentation, labels = collector.family
            yield _metric(name, "counter", labels, documentation)


def _metric(name: str, kind: str, labels: Iterable[Any], meaning: str) -> Metric:
    return Metric(f"{name}_total" if kind == "counter" else name, kind, tuple(labels), meaning.replace("|", "\\|"))


def _table(heads: tuple[str, ...], rows: list[str]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *rows, ""]


def main() -> None:
    """Write the page, or compare it with what is there."""
    text = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("error: docs/metrics.md is out of step with the metrics: run `make generate`")


if __name__ == "__main__":
    main()
