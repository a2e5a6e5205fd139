from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.names import duplicates
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.expression import SCRIPT_VARIABLES, Expression, ExpressionError
from agent_runtime.spec.model import ModelSpec
from agent_runtime.spec.template import Template


def check_models(spec: AgentSpec) -> Iterator[Problem]:
    """Endpoints are named, scripts end in a rule that always matches."""
    yield from duplicates((model.name for model in spec.models), "models", "model")
    for number, model in enumerate(spec.models):
        path = f"models[{number}]"
        if model.provider == "scripted":
            yield from _check_script(model, path)
        else:
            yield from _check_endpoint(model, path)


def _check_endpoint(model: ModelSpec, path: str) -> Iterator[Problem]:
    if model.base_url is None:
        yield Problem(f"{path}.baseURL", "set the address of the OpenAI-compatible API")
    if not model.model:
        yield Problem(f"{path}.model", "set the model's name as the endpoint knows it")
    if model.script:
        yield Problem(f"{path}.script", "belongs to the provider `scripted`: remove it, or set `provider: scripted`")


def _check_script(model: ModelSpec, path: str) -> Iterator[Problem]:
    if not model.script or model.script[-1].when is not None:
        yield Problem(f"{path}.script", "end the script with a rule without `when`, so that every request is answered")
    for number, rule in enumerate(model.script):
        where = f"{path}.script[{number}]"
        texts = {f"{where}.reply": rule.reply} | {
            f"{where}.toolCalls[{count}].arguments.{name}": value
            for count, call in enumerate(rule.tool_calls)
            for name, value in call.arguments.items()
            if isinstance(value, str)
        }
        for place, text in texts.items():
            try:
                Template.compile(text, SCRIPT_VARIABLES)
            except ExpressionError as error:
                yield Problem(place, str(error))
        if rule.when is None:
            continue
        try:
            if not Expression.compile(rule.when, SCRIPT_VARIABLES).may_be_bool:
                yield Problem(f"{where}.when", f"`{rule.when}` must be true or false")
        except ExpressionError as error:
            yield Problem(f"{where}.when", str(error))
