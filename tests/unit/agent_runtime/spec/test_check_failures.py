"""Problems of fallbacks, breakers and budgets, each with its place."""

import pytest

from agent_runtime.spec.checks import check
from unit.agent_runtime.spec_text import ONE, spec

NODES = {
    "two ways out": (", fallback: {messages: '[]'}, onError: end", "workflow.nodes[0].fallback", "either"),
    "no such channel": (", fallback: {topic: '1'}", "workflow.nodes[0].fallback.topic", "there is no channel `topic`"),
    "broken": (", fallback: {messages: 'lost('}", "workflow.nodes[0].fallback.messages", "no valid CEL"),
    "unknown field": (", fallback: {messages: state.lost}", "workflow.nodes[0].fallback.messages", "`state.lost`"),
}


@pytest.mark.parametrize(("field", "path", "message"), NODES.values(), ids=NODES.keys())
def test_a_fallback_that_cannot_be_written_is_named(field, path, message):
    problems = check(spec(ONE % field))
    assert [problem.path for problem in problems] == [path], problems
    assert message in problems[0].message


def test_a_fallback_that_can_be_written_is_sound():
    assert check(spec(ONE % ", fallback: {messages: '[]'}")) == ()


TOOLS = """
workflow:
  start: a
  tools:
  - {name: one, http: {url: 'http://Crm:80/a', breaker: {failureThreshold: 3}}}
  - {name: two, http: {url: 'http://crm:80/b', breaker: {failureThreshold: %d}}}
  - {name: three, http: {url: 'http://crm:80/c'}}
  - {name: four, http: {url: 'http://other/', breaker: {failureThreshold: 9}}}
  nodes: [{name: a, uses: model, with: {tools: [one, two, three, four]}}]
"""


def test_tools_of_one_host_have_one_breaker():
    assert check(spec(TOOLS % 3)) == ()
    (problem,) = check(spec(TOOLS % 4))
    assert problem.path == "workflow.tools[1].http.breaker"
    assert "`workflow.tools[0].http.breaker` says something else" in problem.message


def test_fallbacks_of_parallel_nodes_may_not_meet():
    text = """
workflow:
  state: {x: {type: string}, y: {type: string}}
  start: [a, b]
  nodes:
  - {name: a, uses: set, with: {values: {x: "'1'"}}}
  - {name: b, uses: set, with: {values: {y: "'2'"}}, fallback: {x: "'3'"}}
"""
    (problem,) = check(spec(text))
    assert problem.path == "workflow.state.x"


BUDGETS = {
    "of nothing": ("budgets: {agent: {}}", "budgets.agent", "set `tokensPerDay` or `costPerDay`"),
    "of money without prices": ("budgets: {account: {costPerDay: '1'}}", "models[0].price", "budget of money"),
}


@pytest.mark.parametrize(("text", "path", "message"), BUDGETS.values(), ids=BUDGETS.keys())
def test_a_budget_that_counts_nothing_is_named(text, path, message):
    problems = check(spec(f"{ONE % ''}\n{text}\n"))
    assert [problem.path for problem in problems] == [path], problems
    assert message in problems[0].message


def test_a_graph_of_ones_own_has_no_budgets():
    problems = check(spec("graph: own.module:graph\nbudgets: {agent: {tokensPerDay: 5}}\n", models=""))
    assert [problem.path for problem in problems] == ["budgets"]
