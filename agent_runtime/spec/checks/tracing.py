from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.headers import check_secret_headers
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.headers import TAKEN_HEADERS


def check_tracing(spec: AgentSpec) -> Iterator[Problem]:
    """The headers are the user's to set, and authorities are named only where there is TLS."""
    tracing = spec.tracing
    if tracing is None:
        return
    yield from check_secret_headers(tracing, "tracing", (), TAKEN_HEADERS.__contains__)
    if tracing.tls is not None and not tracing.endpoint.startswith("https:"):
        yield Problem("tracing.tls", "write `endpoint` with `https`, or remove `tls`")
