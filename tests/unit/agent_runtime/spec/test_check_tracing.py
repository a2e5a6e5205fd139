"""What is wrong with `tracing`, told before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks import check

TLS = {"caSecretRef": {"name": "a", "key": "b"}}
KEY = {"name": "X-Key", "secretKeyRef": {"name": "a", "key": "b"}}


def problems(**tracing: Any) -> list[tuple[str, str]]:
    nodes = [{"name": "answer", "uses": "model"}]
    spec = {
        "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "x"}]}],
        "workflow": {"state": {"messages": {"type": "messages"}}, "start": "answer", "nodes": nodes},
        "tracing": {"endpoint": "https://otlp.example", **tracing},
    }
    return [(problem.path, problem.message) for problem in check(AgentSpec.model_validate(spec))]


def test_what_is_right_has_no_problems():
    assert problems(sampleRatio=0.5, tls=TLS, headers={"X-Tenant": "shop"}, secretHeaders=[KEY]) == []


@pytest.mark.parametrize(
    ("tracing", "path", "told"),
    [
        ({"endpoint": "http://otlp:4318", "tls": TLS}, "tracing.tls", "write `endpoint` with `https`"),
        ({"headers": {"Authorization": "x"}}, "tracing.headers", "move it to `secretHeaders`"),
        ({"headers": {"Content-Type": "x"}}, "tracing.headers", "is set by the runtime"),
        ({"headers": {"x-key": "x"}, "secretHeaders": [KEY]}, "tracing.secretHeaders[0].name", "is set twice"),
    ],
)
def test_what_is_wrong_is_told(tracing, path, told):
    ((where, message),) = problems(**tracing)
    assert where == path
    assert told in message
