"""Who an agent's pods talk to: nobody but those that its spec, and the specs of its callers, name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from apm_operator.kinds import ACTIVATOR_LABEL, AGENT_LABEL, NETWORK_POLICIES
from apm_operator.manifests.agent import PORT, TLS_PORT, canonical
from apm_operator.network import NAMESPACE_LABEL

if TYPE_CHECKING:
    from apm_operator.api.network import NetworkPeer
    from apm_operator.api.scheduling import LabelSelector
    from apm_operator.manifests.agent import Agent


class Placed(Protocol):
    """Whose policy it is; only the namespace matters."""

    @property
    def namespace(self) -> str:
        """Where its pods are."""


Rule = dict[str, Any]
Peer = dict[str, Any]

# RFC 6890 and its successors: private, link-local (where clouds keep their metadata services), shared, multicast. And
# the address, public as it looks, at which Azure gives its machines their secrets.
_NOT_PUBLIC = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
    "168.63.129.16/32",
)
# All public addresses of IPv6 lie in 2000::/3.
INTERNET: list[Peer] = [
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_NOT_PUBLIC)}},
    {"ipBlock": {"cidr": "2000::/3"}},
]

_REVIEW_PORT = 8443
"""Where the operator has tokens of ServiceAccounts reviewed for agents."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an agent connects to, as a policy can say it: pods of a namespace by their labels, or addresses.

    Attributes:
        ports: numbers, or names of ports of the pods.
    """

    ports: tuple[int | str, ...]
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    cidrs: tuple[str, ...] = ()


def build(agent: Agent) -> dict[str, Any]:
    """The agent's fence. Whatever it does not name is closed, in both directions."""
    return agent.manifest(
        NETWORK_POLICIES,
        agent.name,
        spec={
            "podSelector": {"matchLabels": agent.selector},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ordered(_ingress(agent)),
            "egress": ordered(_egress(agent)),
        },
    )


def ordered(rules: Iterable[Rule]) -> list[Rule]:
    """Each rule once, in an order that does not depend on where it came from."""
    return [rule for _, rule in sorted({canonical(rule): rule for rule in rules}.items())]


def _ingress(agent: Agent) -> Iterator[Rule]:
    own = ports((agent.port,))
    network = agent.surroundings.cluster
    if agent.sleeps:
        yield {"from": [{"podSelector": {"matchLabels": {ACTIVATOR_LABEL: agent.name}}}], "ports": own}
    if admitted := [*agents(agent, agent.surroundings.callers), *network.operator.peers(), *network.scraper.peers()]:
        yield {"from": admitted, "ports": own}
    for each in agent.spec.network.ingress_from:
        if each.agent is None or each.ports:
            yield {"from": [peer(agent, each)], "ports": written(each) or own}


def _egress(agent: Agent) -> Iterator[Rule]:
    network, around = agent.surroundings.cluster, agent.surroundings
    dns = [*network.dns.peers(), *blocks(network.dns.cidrs)]
    if dns:
        yield {"to": dns, "ports": [*ports(network.dns.ports, "UDP"), *ports(network.dns.ports)]}
    for port, peers in ((PORT, around.plain), (TLS_PORT, set(around.peers) - set(around.plain))):
        if peers:
            yield {"to": [*agents(agent, peers), *_activators(agent, peers)], "ports": ports((port,))}
    if agent.permissions:
        yield from to_addresses(around.api_server)
    if agent.spec.auth is not None and agent.spec.auth.service_accounts is not None and network.operator.peers():
        yield {"to": network.operator.peers(), "ports": ports((_REVIEW_PORT,))}
    for target in around.targets:
        yield {"to": places(agent, target), "ports": ports(target.ports)}
    for each in agent.spec.network.egress_to:
        open_ports = written(each) or (ports((PORT, TLS_PORT)) if each.agent is not None else [])
        named = [(each.namespace or agent.namespace, each.agent)] if each.agent is not None else []
        to = [peer(agent, each), *_activators(agent, named)]
        yield {"to": to} | ({"ports": open_ports} if open_ports else {})
    if agent.spec.network.allow_internet:
        yield {"to": INTERNET}


def to_addresses(pairs: Iterable[tuple[str, int]]) -> Iterator[Rule]:
    """Ways out to blocks of addresses, each on its own port."""
    by_port = sorted((port, cidr) for cidr, port in set(pairs))
    for port, group in groupby(by_port, key=lambda pair: pair[0]):
        yield {"to": blocks(cidr for _, cidr in group), "ports": ports((port,))}


def places(agent: Placed, target: Target) -> list[Peer]:
    """Where a target is, as peers of a rule."""
    if target.cidrs:
        return blocks(target.cidrs)
    selector = {"podSelector": {"matchLabels": dict(target.labels)}}
    return [selector | _in_namespace(agent, target.namespace)]


def _activators(agent: Agent, keys: Iterable[tuple[str, str]]) -> Iterator[Peer]:
    """What stands in for those of these agents that may sleep."""
    yield from agents(agent, set(keys) & set(agent.surroundings.sleeping), ACTIVATOR_LABEL)


def agents(agent: Placed, keys: Iterable[tuple[str, str]], label: str = AGENT_LABEL) -> Iterator[Peer]:
    """The pods of other agents, each given by namespace and name; or others that have a label for them."""
    for namespace, group in groupby(sorted(set(keys)), key=lambda key: key[0]):
        names = [name for _, name in group]
        chosen = {"matchExpressions": [{"key": label, "operator": "In", "values": names}]}
        yield {"podSelector": chosen} | _in_namespace(agent, namespace)


def _in_namespace(agent: Placed, namespace: str) -> dict[str, Any]:
    """Without this, a selector speaks of the policy's own namespace."""
    if namespace == agent.namespace:
        return {}
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: namespace}}}


def peer(agent: Placed, named: NetworkPeer) -> Peer:
    """A peer of the spec."""
    if named.agent is not None:
        return next(agents(agent, [(named.namespace or agent.namespace, named.agent)]))
    if named.cidr is not None:
        return {"ipBlock": {"cidr": named.cidr} | ({"except": list(named.except_)} if named.except_ else {})}
    selectors = {"namespaceSelector": named.namespace_selector, "podSelector": named.pod_selector}
    return {name: _selector(selector) for name, selector in selectors.items() if selector is not None}


def _selector(selector: LabelSelector) -> dict[str, Any]:
    return selector.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def blocks(cidrs: Iterable[str]) -> list[Peer]:
    """Blocks of addresses as peers of a rule."""
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def ports(numbers: Iterable[int | str], protocol: str = "TCP") -> list[dict[str, Any]]:
    """Ports of a rule."""
    return [{"port": port, "protocol": protocol} for port in numbers]


def written(peer: NetworkPeer) -> list[dict[str, Any]]:
    """The ports that a peer of the spec names."""
    parts = [port.partition("/") for port in peer.ports]
    return [{"port": int(number), "protocol": protocol or "TCP"} for number, _, protocol in parts]
