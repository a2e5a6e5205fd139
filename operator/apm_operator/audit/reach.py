"""What the NetworkPolicies that select an agent's pods let through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network
from typing import Any, Literal

from apm_operator.api import network as api
from apm_operator.kinds import AGENT_LABEL

Body = Mapping[str, Any]
Direction = Literal["ingress", "egress"]
DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")
_NAMESPACE = "kubernetes.io/metadata.name"
_FIELDS = {"ingress": "from", "egress": "to"}


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """One way in or out: who or what is at its other end, and on which ports."""

    peer: str
    ports: tuple[str, ...] = ("all ports",)


def selects(selector: Body, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches. Source: Kubernetes API, meta/v1 LabelSelector."""
    if any(labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(requirement: Body, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def covers(policy: Body, direction: Direction) -> bool:
    """Whether a policy closes a direction, so that only what it lists is let through."""
    spec = policy["spec"]
    types = spec.get("policyTypes") or (("Ingress", "Egress") if spec.get("egress") else ("Ingress",))
    return direction.capitalize() in types


def ways(policies: Iterable[Body], direction: Direction) -> tuple[Way, ...]:
    """What is let through by any of the policies; everything where none closes the direction."""
    closing = [policy for policy in policies if covers(policy, direction)]
    if not closing:
        return (Way("everywhere" if direction == "egress" else "everybody"),)
    found = {way for policy in closing for way in _of_policy(policy, direction)}
    return tuple(sorted(found))


def blocks(policies: Iterable[Body]) -> Iterator[Body]:
    """The blocks of addresses that policies name, in either direction."""
    for policy in policies:
        for direction, field in _FIELDS.items():
            for rule in policy["spec"].get(direction) or ():
                yield from (peer["ipBlock"] for peer in rule.get(field) or () if "ipBlock" in peer)


def is_open(policy: Body, direction: Direction) -> bool:
    """Whether a policy has a rule for everybody: one that names no peer."""
    return any(not rule.get(_FIELDS[direction]) for rule in policy["spec"].get(direction) or ())


def is_wide(block: Body) -> bool:
    """Whether a block takes in more than may be opened without `allowInternet`."""
    network = ip_network(str(block["cidr"]), strict=False)
    mapped = isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None
    return mapped or api.is_wide(network)


def _of_policy(policy: Body, direction: Direction) -> Iterator[Way]:
    home = policy["metadata"]["namespace"]
    for rule in policy["spec"].get(direction) or ():
        ports = tuple(_port(port) for port in rule.get("ports") or ()) or ("all ports",)
        peers = rule.get(_FIELDS[direction])
        if not peers:
            yield Way("everywhere" if direction == "egress" else "everybody", ports)
        for peer in peers or ():
            for text in _peer(peer, home):
                yield Way(text, ports)


def _port(port: Body) -> str:
    number = str(port.get("port", "all ports"))
    end = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{number}{end}/{port.get('protocol', 'TCP')}"


def _peer(peer: Body, home: str) -> Iterator[str]:
    if block := peer.get("ipBlock"):
        left_out = ", ".join(block.get("except") or ())
        yield f"{block['cidr']}" + (f" except {left_out}" if left_out else "")
        return
    place = _namespaces(peer.get("namespaceSelector"), home)
    pods = peer.get("podSelector")
    names = _agents(pods) if pods else None
    if names and place == f"namespace {home}":
        yield from (f"agent {home}/{name}" for name in names)
    elif names:
        yield from (f"agent {name} in {place}" for name in names)
    elif pods:
        yield f"pods {_selector(pods)} in {place}"
    else:
        yield f"all pods in {place}"


def _namespaces(selector: Body | None, home: str) -> str:
    if selector is None:
        return f"namespace {home}"
    labels = selector.get("matchLabels") or {}
    if set(labels) == {_NAMESPACE} and not selector.get("matchExpressions"):
        return f"namespace {labels[_NAMESPACE]}"
    return f"namespaces {_selector(selector)}" if selector else "all namespaces"


def _agents(selector: Body) -> tuple[str, ...]:
    """The agents that a selector names, and nothing else."""
    labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if set(labels) == {AGENT_LABEL} and not expressions:
        return (str(labels[AGENT_LABEL]),)
    if not labels and len(expressions) == 1 and expressions[0]["key"] == AGENT_LABEL:
        return tuple(expressions[0].get("values") or ()) if expressions[0]["operator"] == "In" else ()
    return ()


def _selector(selector: Body) -> str:
    parts = [f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        values = f" ({', '.join(each['values'])})" if each.get("values") else ""
        parts.append(f"{each['key']} {each['operator']}{values}")
    return ", ".join(parts)
