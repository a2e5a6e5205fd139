"""Each way in which a workflow can't work, as the smallest spec that shows it."""

from __future__ import annotations

import time

import pytest

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks import check
from unit.agent_runtime.spec_text import ONE, spec

SOUND = {
    "sequence": """
workflow:
  start: a
  nodes:
  - {name: a, uses: model, next: b}
  - {name: b, uses: model, next: end}
""",
    "fan-out and join": """
workflow:
  state: {x: {type: string}, y: {type: string}}
  start: [a, b]
  nodes:
  - {name: a, uses: set, with: {values: {x: "'1'"}}}
  - {name: b, uses: set, with: {values: {y: "'2'"}}}
  - {name: c, uses: set, with: {values: {x: state.x + state.y}}, needs: [a, b]}
""",
    "join inside one branch of a switch": """
workflow:
  state: {x: {type: string}}
  start: s
  nodes:
  - {name: s, uses: set, with: {values: {x: "'1'"}}, next: {switch: [{when: "state.x == '1'", to: fan}], else: end}}
  - {name: fan, uses: set, with: {values: {x: "'2'"}}, next: [p, q]}
  - {name: p, uses: workflow, with: {ref: nothing}}
  - {name: q, uses: workflow, with: {ref: nothing}}
  - {name: j, uses: set, with: {values: {x: "'3'"}}, needs: [p, q]}
workflows:
- {name: nothing, state: {z: {type: string}}, start: n, nodes: [{name: n, uses: set, with: {values: {z: "'1'"}}}]}
""",
    "both branches lead to the joined node": """
workflow:
  state: {x: {type: string}, y: {type: string}}
  start: [s, p]
  nodes:
  - {name: s, uses: set, with: {values: {x: "'1'"}}, next: {switch: [{when: "state.x == '1'", to: l}], else: r}}
  - {name: l, uses: set, with: {values: {x: "'2'"}}, next: m}
  - {name: r, uses: set, with: {values: {x: "'3'"}}, next: m}
  - {name: m, uses: set, with: {values: {x: "'4'"}}}
  - {name: p, uses: set, with: {values: {y: "'5'"}}}
  - {name: j, uses: set, with: {values: {y: "'6'"}}, needs: [m, p]}
""",
    "map-reduce": """
workflow:
  state: {items: {type: array, default: [1, 2]}, out: {type: array, reduce: append}}
  start: plan
  nodes:
  - {name: plan, uses: set, with: {values: {items: "[1, 2]"}}, next: {forEach: state.items, as: one, to: work, max: 5}}
  - {name: work, uses: set, with: {values: {out: "[state.one]"}}, next: gather}
  - {name: gather, uses: set, with: {values: {items: state.out}}, defer: true}
""",
    "bounded cycle": """
workflow:
  limits: {steps: 10}
  start: a
  nodes:
  - {name: a, uses: model, next: b}
  - {name: b, uses: model, next: {switch: [{when: "size(state.messages) > 3", to: end}], else: a}}
""",
    "hand-over": """
workflow:
  limits: {steps: 10}
  start: a
  nodes:
  - {name: a, uses: model, next: {handoff: [b]}}
  - {name: b, uses: model, next: {handoff: [a]}}
""",
    "own graph": "graph: shop.flow:graph",
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND.keys())
def test_a_sound_spec_has_no_problem(text):
    assert check(spec(text)) == ()


UNSOUND = {
    "neither workflow nor graph": ("description: x", "workflow", "either `workflow` or `graph`"),
    "both": (ONE % "" + "\ngraph: a.b:c", "workflow", "not both"),
    "unknown start": ("workflow: {start: z, nodes: [{name: a, uses: model}]}", "workflow.start", "no node `z`"),
    "unknown next": (ONE % ", next: z", "workflow.nodes[0].next", "no node `z` (there are: a)"),
    "unknown case": (
        ONE % ", next: {switch: [{when: 'true', to: z}], else: end}",
        "workflow.nodes[0].next.switch[0].to",
        "no node `z`",
    ),
    "unknown forEach target": (ONE % ", next: {forEach: '[1]', to: z, max: 2}", "workflow.nodes[0].next.to", "`z`"),
    "unknown hand-over": (ONE % ", next: {handoff: [z]}", "workflow.nodes[0].next.handoff[0]", "no node `z`"),
    "unknown error target": (ONE % ", onError: z", "workflow.nodes[0].onError", "no node `z`"),
    "two crons of a name": (
        ONE % "" + "\ncrons: [{name: c, schedule: 0 2 * * *}, {name: c, schedule: 0 3 * * *}]",
        "crons[1].name",
        "another cron `c`",
    ),
    "cron with unknown input": (
        ONE % "" + "\ncrons: [{name: c, schedule: 0 2 * * *, input: {z: 1}}]",
        "crons[0].input.z",
        "no such field",
    ),
    "unknown need": (ONE % ", needs: [z]", "workflow.nodes[0].needs[0]", "no node `z`"),
    "duplicate node": (
        "workflow: {start: a, nodes: [{name: a, uses: model}, {name: a, uses: model}]}",
        "workflow.nodes[1].name",
        "another node `a`",
    ),
    "node called end": (
        "workflow: {start: end, nodes: [{name: end, uses: model}]}",
        "workflow.nodes[0].name",
        "`end` is taken",
    ),
    "unreachable node": (
        "workflow: {start: a, nodes: [{name: a, uses: model}, {name: b, uses: model}]}",
        "workflow.nodes[1]",
        "can't be reached",
    ),
    "cycle without limit": (
        "workflow: {start: a, nodes: [{name: a, uses: model, next: b}, {name: b, uses: model, next: a}]}",
        "workflow.nodes[0]",
        "limits.steps",
    ),
    "forEach without bound": (
        """
workflow:
  start: a
  nodes:
  - {name: a, uses: model, next: {forEach: "[1]", to: b}}
  - {name: b, uses: model}
""",
        "workflow.nodes[0].next.max",
        "set `max`",
    ),
    "join over a switch": (
        """
workflow:
  start: s
  nodes:
  - {name: s, uses: model, next: {switch: [{when: "size(state.messages) > 1", to: p}], else: q}}
  - {name: p, uses: model}
  - {name: q, uses: model}
  - {name: j, uses: model, needs: [p, q]}
""",
        "workflow.nodes[3].needs",
        "may never fire",
    ),
    "join over a forEach": (
        """
workflow:
  start: [s, q]
  nodes:
  - {name: s, uses: model, next: {forEach: "[1]", to: p, max: 2}}
  - {name: p, uses: model}
  - {name: q, uses: model}
  - {name: j, uses: model, needs: [p, q]}
""",
        "workflow.nodes[3].needs",
        "may never fire",
    ),
    "agent nowhere": (
        """
workflow:
  start: a
  nodes: [{name: a, uses: agent, with: {timeout: 3s}}]
""",
        "workflow.nodes[0].with",
        "set exactly one of `ref` and `url`",
    ),
    "token for an agent of the cluster": (
        """
workflow:
  start: a
  nodes: [{name: a, uses: agent, with: {ref: other, bearerTokenSecretRef: {name: s, key: k}}}]
""",
        "workflow.nodes[0].with.bearerTokenSecretRef",
        "know each other by their certificates",
    ),
    "join on its own successor": (
        """
workflow:
  limits: {steps: 9}
  start: a
  nodes:
  - {name: a, uses: model}
  - {name: j, uses: model, needs: [a, b], next: b}
  - {name: b, uses: model}
""",
        "workflow.nodes[1].needs",
        "can never fire",
    ),
    "join that is also next": (
        """
workflow:
  start: [a, b]
  nodes:
  - {name: a, uses: model, next: j}
  - {name: b, uses: model}
  - {name: j, uses: model, needs: [a, b]}
""",
        "workflow.nodes[2].needs",
        "remove it there",
    ),
    "parallel write": (
        """
workflow:
  state: {x: {type: string}}
  start: [a, b]
  nodes:
  - {name: a, uses: set, with: {values: {x: "'1'"}}}
  - {name: b, uses: set, with: {values: {x: "'2'"}}}
""",
        "workflow.state.x",
        "`a` and `b` at once: set `reduce`",
    ),
    "parallel write by forEach": (
        """
workflow:
  state: {x: {type: string}}
  start: a
  nodes:
  - {name: a, uses: set, with: {values: {x: "'1'"}}, next: {forEach: "[1]", to: b, max: 3}}
  - {name: b, uses: set, with: {values: {x: "'2'"}}}
""",
        "workflow.state.x",
        "many times at once",
    ),
    "parallel write in sub-workflows": (
        """
workflow:
  state: {x: {type: string}}
  start: [a, b]
  nodes:
  - {name: a, uses: workflow, with: {ref: w}}
  - {name: b, uses: workflow, with: {ref: w}}
workflows:
- {name: w, state: {x: {type: string}}, start: n, nodes: [{name: n, uses: set, with: {values: {x: "'1'"}}}]}
""",
        "workflow.state.x",
        "at once",
    ),
    "sub-workflow runs itself": (
        """
workflow: {start: a, nodes: [{name: a, uses: workflow, with: {ref: w}}]}
workflows: [{name: w, start: n, nodes: [{name: n, uses: workflow, with: {ref: w}}]}]
""",
        "workflows[0]",
        "runs itself",
    ),
    "unknown model": (ONE % ", with: {model: big}", "workflow.nodes[0].with.model", "no model `big`"),
    "unknown tool of a model": (ONE % ", with: {tools: [t]}", "workflow.nodes[0].with.tools", "no tool `t`"),
    "unknown tool": (
        "workflow: {start: a, nodes: [{name: a, uses: tool, with: {tool: t}}]}",
        "workflow.nodes[0].with.tool",
        "no tool `t`",
    ),
    "unknown sub-workflow": (
        "workflow: {start: a, nodes: [{name: a, uses: workflow, with: {ref: w}}]}",
        "workflow.nodes[0].with.ref",
        "no sub-workflow `w`",
    ),
    "unknown channel to save": (ONE % ", with: {save: x}", "workflow.nodes[0].with.save", "no channel `x`"),
    "unknown channel to set": (
        "workflow: {start: a, nodes: [{name: a, uses: set, with: {values: {x: '1'}}}]}",
        "workflow.nodes[0].with.values.x",
        "no channel `x`",
    ),
    "model without a conversation": (
        "workflow: {state: {x: {type: string}}, start: a, nodes: [{name: a, uses: model, with: {save: x}}]}",
        "workflow.nodes[0].with",
        "messages: {type: messages}",
    ),
    "hand-over from a set node": (
        """
workflow:
  state: {x: {type: any}}
  start: a
  nodes:
  - {name: a, uses: set, with: {values: {x: "1"}}, next: {handoff: [b]}}
  - {name: b, uses: set, with: {values: {x: "2"}}}
""",
        "workflow.nodes[0].next.handoff",
        "only a node with `uses: model`",
    ),
    "start named twice": (
        "workflow: {start: [a, a], nodes: [{name: a, uses: model}]}",
        "workflow.start[1]",
        "`a` stands twice",
    ),
    "target named twice": (
        "workflow: {start: a, nodes: [{name: a, uses: model, next: [b, end, b]}, {name: b, uses: model}]}",
        "workflow.nodes[0].next[2]",
        "`b` stands twice",
    ),
    "hand-over named twice": (
        "workflow: {start: a, nodes: [{name: a, uses: model, next: {handoff: [b, b]}}, {name: b, uses: model}]}",
        "workflow.nodes[0].next.handoff[1]",
        "`b` stands twice",
    ),
    "join with a node named twice": (
        "workflow: {start: a, nodes: [{name: a, uses: model}, {name: b, uses: model, needs: [a, a]}]}",
        "workflow.nodes[1].needs[1]",
        "`a` stands twice",
    ),
    "broken condition": (
        ONE % ", next: {switch: [{when: 'state.', to: end}], else: end}",
        "workflow.nodes[0].next.switch[0].when",
        "no valid CEL expression",
    ),
    "condition that is a number": (
        ONE % ", next: {switch: [{when: '1 + 1', to: end}], else: end}",
        "workflow.nodes[0].next.switch[0].when",
        "must be true or false",
    ),
    "unknown field of the state": (
        ONE % ", next: {switch: [{when: 'state.mood == \"x\"', to: end}], else: end}",
        "workflow.nodes[0].next.switch[0].when",
        "reads `state.mood`",
    ),
    "unknown field in a prompt": (
        ONE % ", with: {prompt: 'Hello {{ state.who }}'}",
        "workflow.nodes[0].with.prompt",
        "reads `state.who`",
    ),
    "open hole in a prompt": (
        ONE % ", with: {prompt: 'Hello {{ state'}",
        "workflow.nodes[0].with.prompt",
        "not closed",
    ),
    "item named like a channel": (
        """
workflow:
  start: a
  nodes:
  - {name: a, uses: model, next: {forEach: "[1]", as: messages, to: b, max: 1}}
  - {name: b, uses: model}
""",
        "workflow.nodes[0].next.as",
        "channel already",
    ),
    "reducer on the wrong type": (
        """
workflow:
  state: {messages: {type: messages}, x: {type: string, reduce: sum}}
  start: a
  nodes: [{name: a, uses: model}]
""",
        "workflow.state.x.reduce",
        "works on integer or number",
    ),
    "default of the wrong type": (
        """
workflow:
  state: {messages: {type: messages}, x: {type: integer, default: a}}
  start: a
  nodes: [{name: a, uses: model}]
""",
        "workflow.state.x.default",
        "must be of type integer",
    ),
}


@pytest.mark.parametrize(("text", "path", "message"), UNSOUND.values(), ids=UNSOUND.keys())
def test_a_problem_is_named_with_its_place(text, path, message):
    problems = check(spec(text))
    assert [problem.path for problem in problems] == [path], problems
    assert message in problems[0].message


def test_the_largest_specs_are_checked_in_no_time():
    """The operator checks what strangers write, and reconciles nothing else meanwhile."""
    names = [f"n{number}" for number in range(100)]
    ways = {name: [names[(number + step) % 100] for step in range(1, 33)] for number, name in enumerate(names)}
    write = {"uses": "set", "with": {"values": {"x": "1"}}}
    fans = [{"name": name, **write, "next": targets} for name, targets in ways.items()]
    joins = [{"name": name, **write, "needs": names[max(0, at - 32) : at]} for at, name in enumerate(names)]
    holes = [{"name": name, "uses": "model", "with": {"prompt": "{{" * 8192}, "next": "end"} for name in names]
    state = {"x": {"type": "integer"}, "messages": {"type": "messages"}}
    begin = time.process_time()
    for nodes in (fans, joins, holes):
        workflow = {"state": state, "start": "n0", "limits": {"steps": 5}, "nodes": nodes}
        check(AgentSpec.model_validate({"workflow": workflow}))
    assert time.process_time() - begin < 5
