from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.approvals import check_approvers
from agent_runtime.spec.checks.events import check_event_expression
from agent_runtime.spec.checks.headers import check_headers
from agent_runtime.spec.checks.names import duplicates
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.sinks import SinkSpec

_OURS = ("ce-", "webhook-")


def check_sinks(spec: AgentSpec) -> Iterator[Problem]:
    """Each sink has one place to push to, and a name of its own; stewards can come."""
    if spec.events is None:
        return
    yield from duplicates((sink.name for sink in spec.events.sinks), "events.sinks", "sink")
    for number, sink in enumerate(spec.events.sinks):
        yield from _check(sink, f"events.sinks[{number}]")
    if spec.events.stewards is not None:
        yield from check_approvers(spec, spec.events.stewards, "events.stewards")


def _check(sink: SinkSpec, where: str) -> Iterator[Problem]:
    if (sink.agent is None) == (sink.url is None):
        yield Problem(where, "set exactly one of `agent` and `url`")
    if sink.agent is not None:
        for name, field in _OUTSIDE.items():
            if getattr(sink, field):
                yield Problem(
                    f"{where}.{name}",
                    "remove it, or set `url`: agents of the cluster know each other by their certificates",
                )
    if sink.filter is not None:
        yield from check_event_expression(f"{where}.filter", sink.filter, condition=True)
    yield from check_headers(sink, where)
    for name in sink.headers:
        if name.lower().startswith(_OURS):
            yield Problem(f"{where}.headers", f"`{name}` is set by the runtime: remove it")


_OUTSIDE = {
    "headers": "headers",
    "bearerTokenSecretRef": "bearer_token_secret_ref",
    "apiKeySecretRef": "api_key_secret_ref",
    "signingKeySecretRef": "signing_key_secret_ref",
}
"""Fields, as in the spec and here, that are for addresses outside."""
