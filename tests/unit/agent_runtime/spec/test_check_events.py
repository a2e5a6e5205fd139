"""Problems of subscriptions and of nodes that emit and wait, each with its place."""

import pytest

from agent_runtime.spec.checks import check
from agent_runtime.spec.mermaid import mermaid
from agent_runtime.spec.uses import uses_events
from unit.agent_runtime.spec_text import spec

WORKFLOW = """
workflow:
  state: {a: {type: object}, text: {type: string}, messages: {type: messages}}
  start: step
  nodes:
  - {name: step, uses: set, with: {values: {text: "'x'"}}}
"""
ONE = "events.subscribe[0]"


def subscribed(one: str, more: str = ""):
    return spec(f"{WORKFLOW}events:\n  subscribe:\n  - {{name: one, type: t, {one}}}\n{more}")


def with_node(node: str):
    return spec(
        "workflow:\n  state: {a: {type: object}, text: {type: string}}\n  start: step\n  nodes:\n"
        f"  - {{name: step, {node}}}\n  - {{name: late, uses: set, with: {{values: {{text: \"'late'\"}}}}}}\n"
    )


@pytest.mark.parametrize(
    "one",
    [
        'start: {message: "Hello {{ event.id }}"}',
        "start: {input: {text: event.subject}, threadKey: event.subject}, filter: event.data.total > 10",
        'start: {message: "Hello", input: {text: event.id}}',
        "resume: {threadKey: event.subject}",
    ],
)
def test_a_sound_subscription_has_no_problem(one):
    assert check(subscribed(one)) == ()


@pytest.mark.parametrize(
    ("one", "path", "message"),
    [
        ("source: s", ONE, "exactly one of `start` and `resume`"),
        ("start: {message: a}, resume: {threadKey: event.id}", ONE, "exactly one of `start` and `resume`"),
        ("start: {threadKey: event.id}", f"{ONE}.start", "set `message`, `input`, or both"),
        ("start: {input: {none: event.id}}", f"{ONE}.start.input.none", "no channel `none`"),
        ("start: {input: {text: state.text}}", f"{ONE}.start.input.text", "no valid CEL expression"),
        ('start: {message: "{{ event.id"}', f"{ONE}.start.message", "is not closed"),
        ("start: {message: a, input: {messages: event.data}}", f"{ONE}.start.input.messages", "either this or"),
        ("start: {message: a, threadKey: event.}", f"{ONE}.start.threadKey", "no valid CEL expression"),
        ("start: {message: a}, filter: event.id +", f"{ONE}.filter", "no valid CEL expression"),
        ("start: {message: a}, filter: size(event.id)", f"{ONE}.filter", "must be true or false"),
        ("resume: {threadKey: event.id, answer: '1 +'}", f"{ONE}.resume.answer", "no valid CEL expression"),
    ],
)
def test_what_a_subscription_lacks_is_told_with_its_place(one, path, message):
    (problem,) = check(subscribed(one))
    assert problem.path == path
    assert message in problem.message


def test_subscriptions_have_names_of_their_own():
    (problem,) = check(subscribed("start: {message: a}", "  - {name: one, type: u, start: {message: b}}\n"))
    assert problem.path == "events.subscribe[1].name"


@pytest.mark.parametrize(
    ("node", "path", "message"),
    [
        ("uses: emit, with: {type: t, subject: state.none}", "with.subject", "`state.none`"),
        ("uses: emit, with: {type: t, data: 1 +}", "with.data", "no valid CEL expression"),
        ("uses: emit, with: {type: t, save: none}", "with.save", "no channel `none`"),
        ("uses: wait, with: {type: t, save: text}", "with.save", "of type object or any, not of string"),
        ("uses: wait, with: {type: t, subject: event.id}", "with.subject", "no valid CEL expression"),
        ("uses: wait, with: {type: t, filter: event.id == state.none}", "with.filter", "`state.none`"),
        ("uses: wait, with: {type: t, filter: size(event.id)}", "with.filter", "must be true or false"),
        ("uses: wait, with: {type: t, onTimeout: late}", "with.onTimeout", "set `timeout` as well"),
        ("uses: wait, with: {type: t, timeout: 1h, onTimeout: none}", "with.onTimeout", "no node `none`"),
        (
            "uses: wait, with: {type: t, timeout: 1h, onTimeout: late}, fallback: {text: \"'x'\"}",
            "with.onTimeout",
            "either `fallback` or this",
        ),
    ],
)
def test_what_a_node_lacks_is_told_with_its_place(node, path, message):
    found = {problem.path: problem.message for problem in check(with_node(node))}
    assert message in found[f"workflow.nodes[0].{path}"]


def test_the_end_of_a_wait_is_drawn():
    workflow = with_node("uses: wait, with: {type: t, timeout: 1h, onTimeout: late}").workflow
    assert '-.->|"on timeout"| n_late' in mermaid(workflow)


def test_nodes_alone_make_an_agent_that_has_to_do_with_events():
    assert uses_events(with_node("uses: emit, with: {type: t}"))
    assert not uses_events(with_node("uses: set, with: {values: {text: \"'x'\"}}"))
