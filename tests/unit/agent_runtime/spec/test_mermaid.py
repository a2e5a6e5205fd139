from __future__ import annotations

import yaml

from agent_runtime.spec.mermaid import LONGEST, mermaid
from agent_runtime.spec.workflow import WorkflowSpec

WORKFLOW = """
state: {messages: {type: messages}, topic: {type: string}}
start: classify
nodes:
- name: classify
  uses: model
  with: {save: topic}
  next: {switch: [{when: 'state.topic == "a<b"', to: book}], else: both}
  onError: answer
- {name: book, uses: agent, with: {ref: host}, next: end}
- {name: both, uses: model, next: [left-side, right]}
- {name: left-side, uses: model}
- {name: right, uses: model}
- {name: answer, uses: model, needs: [left-side, right]}
"""

DIAGRAM = """\
flowchart TD
  n_start([start])
  n_classify["classify<br/><small>model</small>"]
  n_book["book<br/><small>agent</small>"]
  n_both["both<br/><small>model</small>"]
  n_left_side["left-side<br/><small>model</small>"]
  n_right["right<br/><small>model</small>"]
  n_answer{{"answer<br/><small>model</small>"}}
  n_end([end])
  n_start --> n_classify
  n_classify -->|"state.topic == &quot;a&lt;b&quot;"| n_book
  n_classify -->|"else"| n_both
  n_classify -.->|"on error"| n_answer
  n_book --> n_end
  n_both --> n_left_side
  n_both --> n_right
  n_left_side ==> n_answer
  n_right ==> n_answer
  n_answer --> n_end
"""


def test_every_kind_of_edge_is_drawn():
    assert mermaid(WorkflowSpec.model_validate(yaml.safe_load(WORKFLOW))) == DIAGRAM


def test_a_workflow_too_large_to_draw_is_counted():
    names = [f"{'n' * 50}{number}" for number in range(100)]
    nodes = [{"name": name, "uses": "model", "next": names[:32]} for name in names]
    picture = mermaid(WorkflowSpec.model_validate({"start": names[0], "nodes": nodes}))
    assert len(picture) < LONGEST
    assert "100 nodes and 3201 edges" in picture
