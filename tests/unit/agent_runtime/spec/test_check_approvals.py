"""Problems of approvals, each with its place; and the picture of one."""

import pytest

from agent_runtime.spec.checks import check
from agent_runtime.spec.mermaid import mermaid
from unit.agent_runtime.spec_text import spec

APPROVAL = """
workflow:
  state: {a: {type: object}, text: {type: string}, b: {type: string}}
  start: %s
  nodes:
  - {name: gate, uses: approval, with: {ask: "Publish {{ %s }}?", routes: {approve: publish, reject: %s}%s}%s}
  - {name: publish, uses: set, with: {values: {b: "'x'"}}}
"""
GATE = "workflow.nodes[0]"


def approval(*, start="gate", read="state.text", reject="end", params="", more=""):
    return spec(APPROVAL % (start, read, reject, params, more))


def test_a_sound_one_has_no_problem():
    params = ", save: a, schema: {properties: {amount: {type: integer}}, required: [amount]}"
    assert check(approval(params=params)) == ()


@pytest.mark.parametrize(
    ("parts", "path", "message"),
    [
        ({"reject": "nowhere"}, f"{GATE}.with.routes.reject", "no node `nowhere`"),
        ({"reject": "gate"}, GATE, "part of a cycle: set `limits.steps`"),
        ({"read": "state.none"}, f"{GATE}.with.ask", "`state.none`, which the workflow's state doesn't have"),
        ({"more": ", next: publish"}, f"{GATE}.next", "`with.routes` says where an approval leads"),
        ({"params": ", save: c"}, f"{GATE}.with.save", "no channel `c`"),
        ({"params": ", save: text"}, f"{GATE}.with.save", "of type object or any, not of string"),
        ({"params": ", schema: {type: string}"}, f"{GATE}.with.schema.type", "must be `object`"),
        ({"params": ", schema: {required: a}"}, f"{GATE}.with.schema", "`required` a list"),
        (
            {"params": ", schema: {properties: {choice: {}}}"},
            f"{GATE}.with.schema.properties.choice",
            "`routes` says what may be chosen",
        ),
        ({"params": ", onExpire: {to: publish}"}, f"{GATE}.with.onExpire", "set `expire` too"),
        ({"params": ", expire: 1h, onExpire: {}"}, f"{GATE}.with.onExpire", "set `answer`, `to` or both"),
        ({"params": ", expire: 1h, onExpire: {to: nowhere}"}, f"{GATE}.with.onExpire.to", "no node `nowhere`"),
        (
            {"params": ", expire: 1h, onExpire: {answer: {choice: maybe}}"},
            f"{GATE}.with.onExpire.answer.choice",
            "must be one of approve, reject",
        ),
        ({"params": ", approvers: {}"}, f"{GATE}.with.approvers", "name at least one"),
        ({"params": ", approvers: {apiKeys: [a]}"}, f"{GATE}.with.approvers.apiKeys", "set `auth.apiKeys`"),
    ],
)
def test_problems(parts, path, message):
    (problem,) = check(approval(**parts))
    assert problem.path == path
    assert message in problem.message


def test_what_only_a_route_leads_to_is_reached_and_not_certain():
    text = """
workflow:
  state: {b: {type: string}, c: {type: string}}
  start: [gate, other]
  nodes:
  - {name: gate, uses: approval, with: {ask: Publish, routes: {approve: publish, reject: end}}}
  - {name: publish, uses: set, with: {values: {b: "'x'"}}}
  - {name: other, uses: set, with: {values: {c: "'x'"}}}
  - {name: join, uses: set, with: {values: {c: "'y'"}}, needs: [publish, other]}
"""
    (problem,) = check(spec(text))
    assert problem.path == "workflow.nodes[3].needs"
    assert "an approval" in problem.message


def test_parallel_answers_to_one_channel_need_a_reducer():
    text = """
workflow:
  state: {a: {type: object}}
  start: [left, right]
  nodes:
  - {name: left, uses: approval, with: {ask: Left, routes: {approve: end}, save: a}}
  - {name: right, uses: approval, with: {ask: Right, routes: {approve: end}, save: a}}
"""
    (problem,) = check(spec(text))
    assert (problem.path, "by `left` and `right` at once" in problem.message) == ("workflow.state.a", True)


def test_the_picture_tells_the_choices():
    workflow = approval().workflow
    assert workflow is not None
    lines = mermaid(workflow).splitlines()
    assert '  n_gate{"gate<br/><small>approval</small>"}' in lines
    assert '  n_gate -->|"approve"| n_publish' in lines
    assert '  n_gate -->|"reject"| n_end' in lines


AUTH = """
auth:
  jwt: [{issuer: "https://idp", jwksURL: "https://idp/keys", audiences: [apm]}]
"""


@pytest.mark.parametrize(
    ("token", "path", "message"),
    [
        ("{issuer: 'https://other', user: a}", "tokens[0].issuer", "no issuer of `auth.jwt`"),
        ("{issuer: 'https://idp'}", "tokens[0]", "set `account`, `user` or `claims`"),
    ],
)
def test_approvers_by_token(token, path, message):
    params = f", approvers: {{tokens: [{token}]}}"
    (problem,) = check(spec(APPROVAL % ("gate", "state.text", "end", params, "") + AUTH))
    assert problem.path == f"{GATE}.with.approvers.{path}"
    assert message in problem.message


def test_the_way_of_an_approval_that_nobody_answers_is_drawn_and_reached():
    it = approval(params=", expire: 1h, onExpire: {to: publish}", start="gate")
    assert check(it) == ()
    assert it.workflow is not None
    assert '-->|"expired"| n_publish' in mermaid(it.workflow)
