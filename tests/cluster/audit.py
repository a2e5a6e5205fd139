"""What a user has called by the API server's audit log, held against what he may."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

OPERATOR = "system:serviceaccount:apm-system:apm-operator"
_CREATED = 201
_DECISION = "authorization.k8s.io/decision"


class Right(NamedTuple):
    """One verb on one resource; `name` is "" where it holds for all objects."""

    group: str
    resource: str
    verb: str
    name: str = ""


@dataclass(frozen=True)
class Call:
    """One call, with the answer's status code; `allowed` is whether there was a right to make it.

    What admission refuses, such as a quota, was allowed.
    """

    group: str
    resource: str
    verb: str
    namespace: str
    name: str
    code: int
    allowed: bool

    @property
    def kind(self) -> tuple[str, str, str, str]:
        """What a right is asked for."""
        return self.group, self.resource, self.verb, self.namespace

    def uses(self, right: Right) -> bool:
        """Whether the call would not have been allowed without this right.

        An apply that makes an object needs the right to create it, and counts for both.
        """
        verbs = (self.verb, "create") if self.verb == "patch" and self.code == _CREATED else (self.verb,)
        same = (self.group, self.resource) == (right.group, right.resource)
        return same and right.verb in verbs and right.name in ("", self.name)


def read(log: Path, user: str = OPERATOR, since: str = "") -> list[Call]:
    """The calls of a user that came at `since` or later, a time such as `2026-11-21T00:00:00Z`."""
    return [
        call
        for line in log.read_text().splitlines()
        for entry in [json.loads(line)]
        if entry["user"]["username"] == user and entry["requestReceivedTimestamp"] >= since
        for call in _call(entry)
    ]


def _call(entry: dict[str, Any]) -> Iterator[Call]:
    about = entry.get("objectRef")
    if about is None:  # a path such as /version, which is no resource
        return
    resource = "/".join(part for part in (about.get("resource", ""), about.get("subresource", "")) if part)
    yield Call(
        group=about.get("apiGroup", ""),
        resource=resource,
        verb=entry["verb"],
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=entry.get("responseStatus", {}).get("code", 0),
        allowed=entry.get("annotations", {}).get(_DECISION) == "allow",
    )


def rights(roles: Iterable[dict[str, Any]]) -> set[Right]:
    """The rights of Roles and ClusterRoles, one by one."""
    return {
        Right(group, resource, verb, name)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or ("",)
    }


def unused(held: Iterable[Right], calls: Iterable[Call]) -> set[Right]:
    """The rights without which every one of the calls would have been allowed as well."""
    made = set(calls)
    return {right for right in held if not any(call.uses(right) for call in made)}


def refused(calls: Iterable[Call]) -> set[Call]:
    """The calls for which the user had no right, at no time.

    An API server that has just started knows of no roles yet, and refuses what it allows a moment later.
    """
    made = set(calls)
    allowed = {call.kind for call in made if call.allowed}
    return {call for call in made if not call.allowed and call.kind not in allowed}
