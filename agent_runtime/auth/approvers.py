"""Who may answer whose questions.

An approver is kept as one text: how they prove who they are, a colon, and who they are. That is `namespace/name`
or `namespace/*` for agents (`mtls`) and ServiceAccounts, a key's name, or for tokens (`jwt`) an object of what their
claims have to say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_runtime.auth.principal import Principal


def marks_of(principal: Principal, marks: Iterable[str]) -> list[str]:
    """Those of the approvers that this caller is one of."""
    return [mark for mark in marks if _is(principal, mark)]


def _is(principal: Principal, mark: str) -> bool:
    method, _, wanted = mark.partition(":")
    if method != principal.method:
        return False
    if method == "jwt":
        return _holds(principal, wanted)
    namespace, _, name = wanted.partition("/")
    return wanted == principal.account or (name == "*" and principal.account.startswith(f"{namespace}/"))


def _holds(principal: Principal, wanted: str) -> bool:
    try:
        asked = json.loads(wanted)
    except ValueError:
        return False
    if not isinstance(asked, dict) or not asked:
        return False
    claims = asked.pop("claims", None) or {}
    known = {"issuer": principal.issuer, "account": principal.account, "user": principal.user}
    fields = all(known.get(name) == value for name, value in asked.items())
    return fields and all(_claims(principal.claims, name, value) for name, value in claims.items())


def _claims(claims: Mapping[str, Any], name: str, value: str) -> bool:
    told = claims.get(name)
    return told == value or (isinstance(told, list) and value in told)
