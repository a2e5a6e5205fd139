"""Whom the Jobs of backups talk to: MongoDB, the storage, DNS, the API server for their Leases, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from apm_operator.kinds import NETWORK_POLICIES
from apm_operator.manifests.networkpolicy import INTERNET, blocks, ordered, peer, places, ports, to_addresses, written

if TYPE_CHECKING:
    from apm_operator.manifests.backup import Work


def build(work: Work) -> dict[str, Any]:
    """The Jobs' fence: nobody comes in."""
    return work.manifest(
        NETWORK_POLICIES,
        work.name,
        spec={
            "podSelector": {"matchLabels": work.selector},
            "policyTypes": ["Ingress", "Egress"],
            "egress": ordered(_egress(work)),
        },
    )


def _egress(work: Work) -> Iterator[dict[str, Any]]:
    dns = work.cluster.dns
    if resolvers := [*dns.peers(), *blocks(dns.cidrs)]:
        yield {"to": resolvers, "ports": [*ports(dns.ports, "UDP"), *ports(dns.ports)]}
    yield from to_addresses(work.api_server)
    for target in work.targets:
        yield {"to": places(work, target), "ports": ports(target.ports)}
    for each in work.network.egress_to:
        opened = written(each)
        yield {"to": [peer(work, each)]} | ({"ports": opened} if opened else {})
    if work.network.allow_internet:
        yield {"to": INTERNET}
