from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.names import duplicates
from agent_runtime.spec.checks.problem import Problem


def check_crons(spec: AgentSpec) -> Iterator[Problem]:
    """Each has a name of its own, and gives the workflow fields that its state has."""
    yield from duplicates((cron.name for cron in spec.crons), "crons", "cron")
    if spec.workflow is None:
        return
    for number, cron in enumerate(spec.crons):
        for name in sorted(cron.input.keys() - spec.workflow.state.keys()):
            yield Problem(
                f"crons[{number}].input.{name}", "the workflow's state has no such field: name one that it has"
            )
