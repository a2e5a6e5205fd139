"""What somebody should look at: the beginning of every report."""

from __future__ import annotations

from collections.abc import Iterator

from apm_operator.report.figures import Agent, Numbers, Policy, Report, State
from apm_operator.report.words import part, whole

_SUCCESS = 0.95
_BUDGET = 0.8
_DUE = 1 / 6
"""Part of a certificate's life that is left when something is wrong: it is renewed when a third is left."""


def attention(report: Report) -> tuple[str, ...]:
    """One line for each thing, the same as the sections tell in full."""
    return tuple(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    if report.trouble:
        yield f"Runs, latency, cost and budgets are unknown: {report.trouble}"
    for agent in report.present:
        yield from (f"Agent {agent.name}: {line}" for line in _of_agent(agent, silent=bool(report.trouble)))
    for policy in report.policies:
        yield from (f"Backups {policy.name}: {line}" for line in _of_policy(policy))
    for restore in report.restores:
        if restore.phase == "Failed":
            yield f"Restore {restore.name} has failed"


def _of_agent(agent: Agent, *, silent: bool) -> Iterator[str]:
    if agent.ready.truth != "True":
        yield _not_ready(agent.ready)
    yield from _of_numbers(agent.numbers, silent=silent)
    if agent.anomalous.truth == "True":
        yield f"not as usual now: {agent.anomalous.message}"
    elif agent.numbers.odd:
        yield f"was not as usual in {', '.join(agent.numbers.odd)}"
    if (trouble := certificate_trouble(agent)) != "":
        yield trouble
    if agent.open:
        yield f"deviates from the review of access: {', '.join(sorted({each.id for each in agent.open}))}"


def _of_numbers(numbers: Numbers, *, silent: bool) -> Iterator[str]:
    """`silent`: it was told already that nothing is known of any agent."""
    runs = numbers.runs
    if runs is None:
        if not silent:
            yield "its runs are unknown: Prometheus has no samples of it"
        return
    if runs.success is not None and runs.success < _SUCCESS:
        yield f"{whole(runs.failed)} of {whole(runs.total)} runs failed ({part(runs.success)} succeeded)"
    for resource, used in sorted((numbers.budget or {}).items()):
        if used >= _BUDGET:
            yield f"used up to {part(used)} of a day's budget of {resource}"
    if numbers.refusals:
        yield f"a budget refused {whole(numbers.refusals)} runs or calls of models"


def _not_ready(state: State) -> str:
    return f"not ready ({state.reason or 'unknown'}): {state.message}".rstrip(": ")


def certificate_trouble(agent: Agent) -> str:
    """What is wrong with an agent's certificate; "" where nothing is known to be."""
    left, life = agent.numbers.certificate_left, agent.numbers.certificate_life
    if agent.certificate is None:
        return ""
    if left is not None and left <= 0:
        return "its certificate has ended"
    if left is not None and life is not None and left < life * _DUE:
        return "its certificate should have been renewed"
    if agent.certificate.truth == "False":
        return f"certificate: {agent.certificate.message or agent.certificate.reason}"
    return ""


def _of_policy(policy: Policy) -> Iterator[str]:
    if policy.ready.truth != "True":
        yield _not_ready(policy.ready)
    if policy.failed:
        yield f"{policy.failed} failed"
    if policy.verified.truth != "True":
        yield f"not proven to restore: {policy.verified.message or policy.verified.reason or 'unknown'}"
