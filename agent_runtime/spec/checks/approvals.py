from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.approval_node import CHOICE, ApprovalNode
from agent_runtime.spec.approvers import ApproversSpec
from agent_runtime.spec.auth import AuthSpec
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.workflow import WorkflowSpec


def check_approvals(spec: AgentSpec, workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """The routes alone say where an approval leads, and its answer is an object that a channel can keep."""
    for number, node in enumerate(workflow.nodes):
        if not isinstance(node, ApprovalNode):
            continue
        where = f"{path}.nodes[{number}]"
        if node.next is not None:
            yield Problem(f"{where}.next", "remove it: `with.routes` says where an approval leads")
        yield from _check_schema(node, f"{where}.with.schema")
        yield from _check_expiry(node, f"{where}.with.onExpire")
        if node.with_.approvers is not None:
            yield from check_approvers(spec, node.with_.approvers, f"{where}.with.approvers")
        channel = workflow.state.get(node.with_.save or "")
        if channel is not None and channel.type not in {"object", "any"}:
            yield Problem(f"{where}.with.save", f"must name a channel of type object or any, not of {channel.type}")


def _check_schema(node: ApprovalNode, where: str) -> Iterator[Problem]:
    schema = node.with_.schema_
    if schema is None:
        return
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if schema.get("type", "object") != "object":
        yield Problem(f"{where}.type", "must be `object`: an answer is an object with the field `choice`")
    if not isinstance(properties, dict) or not isinstance(required, list):
        yield Problem(where, "`properties` must be an object, and `required` a list")
    elif CHOICE in properties:
        yield Problem(f"{where}.properties.{CHOICE}", "remove it: `routes` says what may be chosen")


def _check_expiry(node: ApprovalNode, where: str) -> Iterator[Problem]:
    params = node.with_
    late = params.on_expire
    if late is None:
        return
    if params.expire is None:
        yield Problem(where, "set `expire` too: how long an answer is waited for")
    if late.to is None and late.answer is None:
        yield Problem(where, "set `answer`, `to` or both")
    if late.answer is not None and late.answer.get(CHOICE) not in params.routes:
        yield Problem(f"{where}.answer.{CHOICE}", f"must be one of {', '.join(params.routes)}")


def check_approvers(spec: AgentSpec, approvers: ApproversSpec, where: str) -> Iterator[Problem]:
    """Somebody is named, and can come: `auth` lets them in."""
    if not approvers.marks:
        yield Problem(where, "name at least one: `agents`, `serviceAccounts`, `apiKeys` or `tokens`")
    auth = spec.auth or AuthSpec()
    let_in = {"serviceAccounts": auth.service_accounts, "apiKeys": auth.api_keys, "jwt": auth.jwt}
    named = {"serviceAccounts": approvers.service_accounts, "apiKeys": approvers.api_keys, "jwt": approvers.tokens}
    for field, wanted in named.items():
        if wanted and not let_in[field]:
            place = "tokens" if field == "jwt" else field
            yield Problem(f"{where}.{place}", f"nobody can come so: set `auth.{field}`")
    issuers = {one.issuer for one in auth.jwt}
    for number, one in enumerate(approvers.tokens):
        if not (one.account or one.user or one.claims):
            yield Problem(f"{where}.tokens[{number}]", "set `account`, `user` or `claims`: else every token would do")
        if one.issuer is not None and one.issuer not in issuers:
            yield Problem(f"{where}.tokens[{number}].issuer", "is no issuer of `auth.jwt`")
