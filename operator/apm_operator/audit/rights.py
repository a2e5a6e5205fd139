"""What the ServiceAccount of an agent may do in the Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apm_operator.audit.intact import intact
from apm_operator.audit.world import Surroundings
from apm_operator.kinds import ROLE_BINDINGS, ROLES

Body = Mapping[str, Any]
_OF_KUBERNETES = frozenset(
    {
        "system:basic-user",
        "system:discovery",
        "system:public-info-viewer",
        "system:service-account-issuer-discovery",
    }
)
"""Bindings that every cluster has, by which everybody may ask for the API's own description and their own rights."""
READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Right:
    """One rule that is granted.

    Attributes:
        binding: kind and name of what grants it, such as `RoleBinding clerk`.
        own: whether it is the operator's own, made from the agent's resource and not changed since.
    """

    binding: str
    own: bool
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether anything can be changed by it."""
        return bool(set(self.verbs) - READS)

    @property
    def text(self) -> str:
        """The rule as a person reads it."""
        names = f" ({', '.join(self.names)})" if self.names else ""
        return f"{','.join(self.verbs)} {','.join(self._kinds())}{names}"

    def _kinds(self) -> Iterator[str]:
        for resource in self.resources:
            for group in self.groups or ("",):
                yield f"{resource}.{group}" if group else resource


def rights(agent: Body, around: Surroundings) -> tuple[Right, ...]:
    """The rules of every binding that names the agent's ServiceAccount, or everybody with it."""
    found = (binding for binding in around.bindings if _names(binding, agent) and not _of_kubernetes(binding))
    return tuple(right for binding in found for right in _rules(binding, agent, around))


def _names(binding: Body, agent: Body) -> bool:
    namespace, name = agent["metadata"]["namespace"], agent["metadata"]["name"]
    groups = {"system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"}
    user = f"system:serviceaccount:{namespace}:{name}"
    for subject in binding.get("subjects") or ():
        if subject.get("kind") == "Group" and subject.get("name") in groups:
            return True
        if subject.get("kind") == "User" and subject.get("name") == user:
            return True
        account = (subject.get("kind"), subject.get("name"), subject.get("namespace"))
        if account == ("ServiceAccount", name, namespace):
            return True
    return False


def _of_kubernetes(binding: Body) -> bool:
    """Whether it is one that every cluster has; another role in it is not taken for granted."""
    name = binding["metadata"]["name"]
    return name in _OF_KUBERNETES and bool(binding["roleRef"]["name"] == name)


def _rules(binding: Body, agent: Body, around: Surroundings) -> Iterator[Right]:
    metadata, reference = binding["metadata"], binding["roleRef"]
    kind = "RoleBinding" if metadata.get("namespace") else "ClusterRoleBinding"
    where = f"{kind} {metadata['name']}"
    role = next((each for each in around.roles if _is(each, reference)), None)
    own = role is not None and intact(ROLE_BINDINGS, binding, agent) and intact(ROLES, role, agent)
    if role is None:
        yield Right(where, own, verbs=("?",), resources=(f"unknown: {reference['kind']} {reference['name']}",))
    for rule in (role or {}).get("rules") or ():
        yield Right(
            where,
            own,
            tuple(rule.get("apiGroups") or ()),
            tuple(rule.get("resources") or rule.get("nonResourceURLs") or ()),
            tuple(rule.get("resourceNames") or ()),
            tuple(rule.get("verbs") or ()),
        )


def _is(role: Body, reference: Body) -> bool:
    kind = "Role" if role["metadata"].get("namespace") else "ClusterRole"
    return bool(kind == reference["kind"] and role["metadata"]["name"] == reference["name"])
