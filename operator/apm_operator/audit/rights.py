"""What the ServiceAccount of an agent may do in the Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apm_operator.audit.world import Surroundings

Body = Mapping[str, Any]
_DISCOVERY = "system:service-account-issuer-discovery"
READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Right:
    """One rule that is granted.

    Attributes:
        binding: kind and name of what grants it, such as `RoleBinding clerk`.
        own: whether it is the operator's own, made from the agent's resource.
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
    """The rules of every binding that names the agent's ServiceAccount, or all ServiceAccounts with it."""
    found = (binding for binding in around.bindings if _names(binding, agent) and not _of_kubernetes(binding))
    return tuple(right for binding in found for right in _rules(binding, agent, around))


def _names(binding: Body, agent: Body) -> bool:
    namespace, name = agent["metadata"]["namespace"], agent["metadata"]["name"]
    groups = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}"}
    for subject in binding.get("subjects") or ():
        if subject.get("kind") == "Group" and subject.get("name") in groups:
            return True
        account = (subject.get("kind"), subject.get("name"), subject.get("namespace"))
        if account == ("ServiceAccount", name, namespace):
            return True
    return False


def _of_kubernetes(binding: Body) -> bool:
    """Whether it is the one that gives every ServiceAccount the addresses where the API server describes its tokens."""
    return bool(binding["metadata"]["name"] == _DISCOVERY and binding["roleRef"]["name"] == _DISCOVERY)


def _rules(binding: Body, agent: Body, around: Surroundings) -> Iterator[Right]:
    metadata, reference = binding["metadata"], binding["roleRef"]
    kind = "RoleBinding" if metadata.get("namespace") else "ClusterRoleBinding"
    own = any(owner.get("uid") == agent["metadata"].get("uid") for owner in metadata.get("ownerReferences") or ())
    where = f"{kind} {metadata['name']}"
    role = next((each for each in around.roles if _is(each, reference)), None)
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
