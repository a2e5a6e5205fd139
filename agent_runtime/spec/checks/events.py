from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.names import duplicates
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.events import StartSpec, SubscriptionSpec
from agent_runtime.spec.expression import Expression, ExpressionError
from agent_runtime.spec.template import Template
from agent_runtime.spec.wait_node import WaitNode
from agent_runtime.spec.workflow import WorkflowSpec

EVENT = ("event",)


def check_events(spec: AgentSpec) -> Iterator[Problem]:
    """Subscriptions have names of their own, do one thing, and write what the workflow's state has."""
    if spec.events is None:
        return
    yield from duplicates((one.name for one in spec.events.subscribe), "events.subscribe", "subscription")
    for number, one in enumerate(spec.events.subscribe):
        yield from _check(spec, one, f"events.subscribe[{number}]")


def check_waits(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """A wait that leads somewhere when its time is over has a time, and keeps an event where one fits."""
    for number, node in enumerate(workflow.nodes):
        if not isinstance(node, WaitNode):
            continue
        where = f"{path}.nodes[{number}].with"
        if node.with_.on_timeout is not None and node.with_.timeout is None:
            yield Problem(f"{where}.onTimeout", "set `timeout` as well, or remove it")
        if node.with_.on_timeout is not None and node.fallback is not None:
            yield Problem(f"{where}.onTimeout", "set either `fallback` or this, and not both")
        channel = workflow.state.get(node.with_.save or "")
        if channel is not None and channel.type not in {"object", "any"}:
            yield Problem(f"{where}.save", f"must name a channel of type object or any, not of {channel.type}")


def _check(spec: AgentSpec, one: SubscriptionSpec, where: str) -> Iterator[Problem]:
    if (one.start is None) == (one.resume is None):
        yield Problem(where, "set exactly one of `start` and `resume`")
    if one.filter is not None:
        yield from check_event_expression(f"{where}.filter", one.filter, condition=True)
    if one.start is not None:
        yield from _check_start(spec, one.start, f"{where}.start")
    if one.resume is not None:
        yield from check_event_expression(f"{where}.resume.threadKey", one.resume.thread_key)
        yield from check_event_expression(f"{where}.resume.answer", one.resume.answer)


def _check_start(spec: AgentSpec, start: StartSpec, where: str) -> Iterator[Problem]:
    if start.message is None and start.input is None:
        yield Problem(where, "set `message`, `input`, or both: what the run begins with")
    if start.thread_key is not None:
        yield from check_event_expression(f"{where}.threadKey", start.thread_key)
    if start.message is not None:
        yield from _check_message(spec, start, start.message, where)
    for name, text in (start.input or {}).items():
        yield from check_event_expression(f"{where}.input.{name}", text)
        if spec.workflow is not None and name not in spec.workflow.state:
            have = ", ".join(sorted(spec.workflow.state))
            yield Problem(
                f"{where}.input.{name}",
                f"there is no channel `{name}` in the workflow's state (there are: {have}): correct the name or add it",
            )


def _check_message(spec: AgentSpec, start: StartSpec, message: str, where: str) -> Iterator[Problem]:
    try:
        Template.compile(message, EVENT)
    except ExpressionError as error:
        yield Problem(f"{where}.message", str(error))
    if "messages" in (start.input or {}):
        yield Problem(f"{where}.input.messages", "set either this or `message`")
    channel = spec.workflow.state.get("messages") if spec.workflow is not None else None
    if spec.workflow is not None and (channel is None or channel.type != "messages"):
        yield Problem(
            f"{where}.message", "set `input` instead, or add `messages: {type: messages}` to the workflow's state"
        )


def check_event_expression(path: str, text: str, *, condition: bool = False) -> Iterator[Problem]:
    """An expression over `event` compiles, and a condition is true or false."""
    try:
        expression = Expression.compile(text, EVENT)
    except ExpressionError as error:
        yield Problem(path, str(error))
        return
    if condition and not expression.may_be_bool:
        yield Problem(path, f"`{text}` must be true or false")
