"""Specs of agents as text, for tests of what is checked in them."""

from __future__ import annotations

import yaml

from agent_runtime.spec.agent import AgentSpec

SCRIPTED = "models: [{name: default, provider: scripted, script: [{reply: hello}]}]\n"
ONE = "workflow: {start: a, nodes: [{name: a, uses: model%s}]}"
"""A workflow of one node, with room for more of its fields."""


def spec(text: str, models: str = SCRIPTED) -> AgentSpec:
    """An agent of this text, with a model that answers unless another is given."""
    return AgentSpec.model_validate(yaml.safe_load(models + text))
