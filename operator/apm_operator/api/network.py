"""Whom an agent's pods may talk to, beside those that the rest of the spec names already."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import ObjectName
from apm_operator.api.scheduling import LabelSelector

METADATA = (
    *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),  # Alibaba Cloud, Azure, Oracle Cloud
    *("fd00:ec2::254/128", "fd20:ce::254/128"),  # AWS, Google Cloud
)
"""Services of clouds for their machines, such as those that give out credentials, that are not link-local."""

WIDEST_IPV4, WIDEST_PRIVATE_IPV6, WIDEST_IPV6, WIDEST_NAT64 = 8, 7, 16, 104
"""Shortest prefixes of what may be opened without `allowInternet`. 10.0.0.0/8 and fc00::/7 are private networks; two
blocks of a shorter one (0.0.0.0/1, 128.0.0.0/1) are all of the internet. Public IPv6 addresses are given out in six
blocks of a /12 or so, and behind an address of NAT64 stands one of IPv4."""
_PRIVATE_IPV6 = IPv6Network("fc00::/7")
_NAT64 = IPv6Network("64:ff9b::/32")
_MAPPED = IPv6Network("::ffff:0:0/96")

_NUMBER = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"  # 1 to 65535
_PORT_PATTERN = f"^{_NUMBER}(/(TCP|UDP|SCTP))?$"


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _network(text: str) -> str:
    block = ip_network(text)
    # Network plugins in Go take ::ffff:0:0/96 for 0.0.0.0/0, so that its prefix says nothing.
    if isinstance(block, IPv6Network) and block.overlaps(_MAPPED) and block.prefixlen >= _MAPPED.prefixlen:
        raise ValueError(f"{text} stands for IPv4 addresses: write it as a block of IPv4")
    return text


def is_wide(block: IPv4Network | IPv6Network) -> bool:
    """Whether a block takes in more than a private network, or one party's part of the internet, can have."""
    if isinstance(block, IPv4Network):
        return block.prefixlen < WIDEST_IPV4
    if block.overlaps(_NAT64):
        return block.prefixlen < WIDEST_NAT64
    if block.overlaps(_MAPPED):
        return True
    return block.prefixlen < (WIDEST_PRIVATE_IPV6 if block.subnet_of(_PRIVATE_IPV6) else WIDEST_IPV6)


Cidr = Annotated[
    str,
    StringConstraints(max_length=49),
    AfterValidator(_network),
    WithJsonSchema({"type": "string", "format": "cidr", "maxLength": 49}),
]
"""A block of addresses such as `10.0.0.0/8` or `fd00::/64`; the format is known to every API server."""

Port = Annotated[
    str,
    BeforeValidator(_text),
    StringConstraints(pattern=_PORT_PATTERN, max_length=10),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 1,
            "maximum": 65535,
            "maxLength": 10,
            "pattern": _PORT_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""A TCP port such as `443`, or one of another protocol such as `53/UDP`."""


class NetworkPeer(SpecModel):
    """Somebody on the network: an agent, pods by their labels, or a block of addresses."""

    agent: ObjectName | None = Field(default=None, description="Name of an AgentDeployment.")
    namespace: ObjectName | None = Field(
        default=None, description="Namespace of `agent`; without it, the namespace of this AgentDeployment."
    )
    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces by their labels; `{}` means all. With `podSelector`, the pods it selects in them.",
    )
    pod_selector: LabelSelector | None = Field(
        default=None,
        description="Pods by their labels; without `namespaceSelector`, in the namespace of this AgentDeployment.",
    )
    cidr: Cidr | None = Field(default=None, description="Block of addresses, such as `10.0.0.0/8`.")
    except_: tuple[Cidr, ...] = Field(
        default=(), alias="except", max_length=32, description="Blocks inside of `cidr` that are left out."
    )
    ports: tuple[Port, ...] = Field(
        default=(),
        max_length=32,
        description=(
            "Ports, such as `443` or `53/UDP`; those of the pods, which may differ from their Service's. "
            "Without them, the agent's own port for whoever comes in and for agents, all ports otherwise."
        ),
    )

    @model_validator(mode="after")
    def _except_within(self) -> Self:
        if self.cidr is None:
            return self
        block = ip_network(self.cidr)
        for text in self.except_:
            inner = ip_network(text)
            if inner.version != block.version or not inner.subnet_of(block) or inner == block:  # type: ignore[arg-type]
                raise ValueError(f"`except` has {text}, which is no part of {self.cidr}: remove or correct it")
        return self


def refuse_wide(peers: Iterable[NetworkPeer]) -> None:
    """Raises ValueError where a peer takes in more than `is_wide` allows."""
    for peer in peers:
        if peer.cidr is not None and is_wide(ip_network(peer.cidr)):
            raise ValueError(f"{peer.cidr} takes in public addresses: set `allowInternet: true` or name less")


class Network(SpecModel):
    """What the agent's NetworkPolicy lets through, beside what the rest of the spec needs."""

    ingress_from: tuple[NetworkPeer, ...] = Field(
        default=(),
        max_length=64,
        description="Who may connect to the agent, beside the agents whose workflow asks it.",
    )
    egress_to: tuple[NetworkPeer, ...] = Field(
        default=(),
        max_length=64,
        description="Where the agent may connect to, beside its models, tools, MongoDB and the agents that it asks.",
    )
    allow_internet: bool = Field(
        default=False,
        description=(
            "Let the agent connect to every public address; private, link-local and other special ones stay closed."
        ),
    )

    @model_validator(mode="after")
    def _no_internet_by_the_way(self) -> Self:
        if not self.allow_internet:
            refuse_wide((*self.ingress_from, *self.egress_to))
        return self
