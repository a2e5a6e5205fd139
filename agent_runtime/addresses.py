"""Which addresses outgoing calls may reach.

A name from a resource may lead anywhere, and elsewhere a moment later: to the node's metadata service, say, which hands
out the node's credentials. So a name is looked up once, judged, and connected to by the address that was judged.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import httpcore

from agent_runtime.errors import CallError, CallErrorKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from httpcore._backends.base import SOCKET_OPTION
    from httpcore._backends.base import AsyncNetworkStream as Stream

Address = IPv4Address | IPv6Address

_CONNECT_SECONDS = 5.0
"""Longest try of an address that is not the last one."""
_LOCAL = frozenset({"localhost", "localhost."})
_METADATA: tuple[IPv4Network | IPv6Network, ...] = (
    ip_network("100.100.100.200/32"),  # Alibaba Cloud
    ip_network("168.63.129.16/32"),  # Azure
    ip_network("192.0.0.192/32"),  # Oracle Cloud
    ip_network("fd00:ec2::254/128"),  # AWS
    ip_network("fd20:ce::254/128"),  # Google Cloud
)
"""Metadata services that are not link-local."""
_NAT64 = ip_network("64:ff9b::/96")


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to names only where no address of the node itself hides behind them.

    An address in the URL itself is connected to as it stands, and so is `localhost`: whoever wrote it means it.
    """

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the base class has it
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> Stream:
        """As the base class.

        Raises:
            CallError: The name leads to a forbidden address; nothing was connected to.
        """
        addresses = [host] if _literal(host) or host.lower() in _LOCAL else await _look_up(host, port)
        for address in addresses:
            last = address == addresses[-1]
            limit = timeout if last else min(timeout or _CONNECT_SECONDS, _CONNECT_SECONDS)
            try:
                return await self._inner.connect_tcp(address, port, limit, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if last:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        """As the base class."""
        await self._inner.sleep(seconds)


def forbidden(address: Address) -> str | None:
    """Why an address that a name led to is not connected to, or None."""
    inner = _inside(address)
    if inner is not None:
        return forbidden(inner)
    if address.is_loopback:
        return "the pod itself"
    if address.is_link_local or any(address in network for network in _METADATA):
        return "the node's own services"
    if address.is_unspecified or address.is_multicast:
        return "no single host"
    return None


def _inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _look_up(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} can't be looked up") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if reason := forbidden(ip_address(address)):
            raise CallError(
                CallErrorKind.REFUSED,
                f"the host {host} leads to {address}, which is {reason}: nothing was sent; "
                "if that is meant, write the address itself into the URL",
            )
    return addresses
