"""From hosts and ports to what a network policy can say, and what it can't."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apm_operator.manifests.networkpolicy import Target
from apm_operator.reconcile import endpoints
from apm_operator.reconcile.endpoints import Endpoint, ServiceName
from apm_operator.reconcile.services import Found, Service

if TYPE_CHECKING:
    from apm_operator.api.network import Network


@dataclass(frozen=True, slots=True)
class Reach:
    """What became of an agent's endpoints.

    Attributes:
        targets: those that its policy opens.
        unknown: for each of the others, one sentence that says what to do.
    """

    targets: tuple[Target, ...] = ()
    unknown: tuple[str, ...] = ()


def names(wanted: Iterable[Endpoint], namespace: str) -> set[ServiceName]:
    """The Services that have to be looked up."""
    return {
        at
        for each in wanted
        if each.port and endpoints.address(each.host) is None and not endpoints.is_loopback(each.host)
        for at in endpoints.services(each.host, namespace)
    }


def resolve(wanted: Iterable[Endpoint], namespace: str, found: Mapping[ServiceName, Found], network: Network) -> Reach:
    """Find out where connections to these endpoints arrive.

    Args:
        wanted: what the spec names.
        namespace: the agent's.
        found: what is known of the Services that `names` gives.
        network: what the spec opens by itself: it settles what can't be found out.
    """
    targets: set[Target] = set()
    unknown: set[str] = set()
    for each in wanted:
        if endpoints.is_loopback(each.host):
            continue
        if (block := endpoints.address(each.host)) is not None:
            target, trouble = _addressed(each, block, network)
        else:
            target, trouble = _named(each, namespace, found, network)
        if target is not None:
            targets.add(target)
        elif trouble:
            unknown.add(f"{each.purpose}: {trouble}")
    return Reach(tuple(sorted(targets, key=repr)), tuple(sorted(unknown)))


def _addressed(each: Endpoint, block: str, network: Network) -> tuple[Target | None, str]:
    """The target of a host that is an address, or what is the matter."""
    if endpoints.is_ordinary(each.host) and each.port:
        return Target((each.port,), cidrs=(block,)), ""
    if any(peer.cidr == block for peer in network.egress_to):
        return None, ""
    return None, (
        f"{each.host} is a special address, such as those of the clouds' metadata services, or has no port: "
        f"to open it on purpose, add - {{cidr: {block}}} to spec.network.egressTo"
    )


def _named(
    each: Endpoint, namespace: str, found: Mapping[ServiceName, Found], network: Network
) -> tuple[Target | None, str]:
    """The target of a host that is a name, or what is the matter; both empty where the spec has it opened."""
    known = [(at, found.get(at, "missing")) for at in endpoints.services(each.host, namespace)] if each.port else []
    for at, service in known:
        if isinstance(service, Service):
            if service.external:
                return None, _public(each._replace(host=service.external), network)
            target = service.target(at.namespace, each.port)
            return target, "" if target else _inside(at, network, f"has no port {each.port} with pods behind it")
    if known and endpoints.only_inside(each.host):
        at, state = known[0]
        reason = "may not be read by the operator" if state == "forbidden" else "does not exist: make it"
        return None, _inside(at, network, reason)
    if _selects(network) and (not each.port or any(state == "forbidden" for _, state in known)):
        return None, ""
    return None, _public(each, network)


def _inside(at: ServiceName, network: Network, reason: str) -> str:
    if _selects(network):
        return ""
    return (
        f"Service {at.name} in namespace {at.namespace} {reason}, or name its pods in spec.network.egressTo "
        "(namespaceSelector, podSelector, ports)"
    )


def _selects(network: Network) -> bool:
    """Whether the spec opens pods by their labels: it is taken to know which."""
    return any(peer.pod_selector is not None or peer.namespace_selector is not None for peer in network.egress_to)


def _public(each: Endpoint, network: Network) -> str:
    """What to do about a name that is no Service; "" where the spec opens a block for its port, or the internet."""
    blocks = (peer.ports for peer in network.egress_to if peer.cidr is not None)
    if network.allow_internet or any(_opens(ports, each.port) for ports in blocks):
        return ""
    port = f", ports: [{each.port}]" if each.port else ""
    return (
        f"{each.host or 'the host'} is no Service that the operator knows, and a network policy takes no public "
        f"names: add its addresses to spec.network.egressTo (- {{cidr: ADDRESS/32{port}}}), "
        "or set spec.network.allowInternet: true"
    )


def _opens(ports: tuple[str, ...], port: int) -> bool:
    return not ports or not port or bool({str(port), f"{port}/TCP"} & set(ports))
