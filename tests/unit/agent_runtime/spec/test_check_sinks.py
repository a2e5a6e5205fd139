"""Problems of sinks and stewards, each with its place."""

import pytest

from agent_runtime.spec.checks import check
from unit.agent_runtime.spec_text import ONE, spec

EVENTS = """
events:
  sinks:
  - {name: bar, agent: bar, filter: "event.data.total > 10"}
  - {name: hooks, url: 'https://hooks.example/', headers: {X-Team: shop}, bearerTokenSecretRef: {name: s, key: t}}
"""
SINKS = {
    "nowhere": ("{name: out}", "events.sinks[0]", "exactly one of `agent` and `url`"),
    "two ways": ("{name: out, agent: bar, url: 'http://bar'}", "events.sinks[0]", "exactly one of"),
    "headers of an agent": ("{name: out, agent: bar, headers: {X: y}}", "events.sinks[0].headers", "certificates"),
    "key of an agent": (
        "{name: out, agent: bar, signingKeySecretRef: {name: s, key: k}}",
        "events.sinks[0].signingKeySecretRef",
        "certificates",
    ),
    "no filter": ("{name: out, agent: bar, filter: 'event.'}", "events.sinks[0].filter", "no valid CEL"),
    "no condition": ("{name: out, agent: bar, filter: '3'}", "events.sinks[0].filter", "must be true or false"),
    "secret in headers": (
        "{name: out, url: 'http://bar', headers: {Authorization: x}}",
        "events.sinks[0].headers",
        "set `bearerTokenSecretRef`",
    ),
    "header of events": ("{name: out, url: 'http://bar', headers: {CE-Id: x}}", "events.sinks[0].headers", "remove it"),
    "header of signatures": (
        "{name: out, url: 'http://bar', headers: {webhook-id: x}}",
        "events.sinks[0].headers",
        "remove it",
    ),
    "twice": ("{name: out, agent: bar}, {name: out, agent: desk}", "events.sinks[1].name", "another sink `out`"),
    "two breakers": (
        "{name: a, url: 'http://Bar/', breaker: {}}, {name: b, url: 'http://bar/', breaker: {failureThreshold: 2}}",
        "events.sinks[1].breaker",
        "`events.sinks[0].breaker` says something else",
    ),
}


def test_sound_ones_have_no_problem():
    assert check(spec(ONE % "" + EVENTS)) == ()


@pytest.mark.parametrize(("sinks", "path", "message"), SINKS.values(), ids=SINKS.keys())
def test_a_sink_that_cannot_be_pushed_to_is_named(sinks, path, message):
    problems = check(spec(ONE % "" + f"\nevents:\n  sinks: [{sinks}]\n"))
    assert [problem.path for problem in problems] == [path], problems
    assert message in problems[0].message


def test_a_steward_has_to_be_let_in():
    (problem,) = check(spec(ONE % "" + "\nevents:\n  stewards: {apiKeys: [oncall]}\n"))
    assert (problem.path, problem.message) == ("events.stewards.apiKeys", "nobody can come so: set `auth.apiKeys`")
