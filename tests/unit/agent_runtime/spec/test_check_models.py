"""Problems of models, each with its place."""

import pytest

from agent_runtime.spec.checks import check
from unit.agent_runtime.spec_text import ONE, spec

MODELS = {
    "no address": ("models: [{name: default, model: m}]", "models[0].baseURL", "set the address"),
    "no model name": ("models: [{name: default, baseURL: 'http://h/v1'}]", "models[0].model", "set the model's name"),
    "script without end": (
        "models: [{name: default, provider: scripted, script: [{when: 'true', reply: a}]}]",
        "models[0].script",
        "without `when`",
    ),
    "broken rule": (
        "models: [{name: default, provider: scripted, script: [{when: 'lost', reply: a}, {reply: b}]}]",
        "models[0].script[0].when",
        "no valid CEL",
    ),
    "broken argument of a tool call": (
        """
models:
- {name: default, provider: scripted, script: [{toolCalls: [{name: t, arguments: {n: 1, a: '{{ x }}'}}]}]}
""",
        "models[0].script[0].toolCalls[0].arguments.a",
        "no valid CEL",
    ),
    "two of one name": (
        """
models:
- {name: default, provider: scripted, script: [{reply: a}]}
- {name: default, provider: scripted, script: [{reply: b}]}
""",
        "models[1].name",
        "another model",
    ),
}


@pytest.mark.parametrize(("models", "path", "message"), MODELS.values(), ids=MODELS.keys())
def test_a_model_that_cannot_answer_is_named(models, path, message):
    problems = check(spec(ONE % "", models + "\n"))
    assert [problem.path for problem in problems] == [path], problems
    assert message in problems[0].message
