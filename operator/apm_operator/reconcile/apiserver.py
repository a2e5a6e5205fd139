"""Where pods reach the API server: as the operator was told, or else as the cluster says, read from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import structlog

from apm_operator.errors import ApiError, Forbidden, NotFound
from apm_operator.kinds import ENDPOINT_SLICES, SERVICES

if TYPE_CHECKING:
    from apm_operator import network
    from apm_operator.kube import Kube
    from apm_operator.queue import Key

NAMESPACE, NAME = "default", "kubernetes"
"""Its Service, in every cluster."""

Addresses = tuple[tuple[str, int], ...]
"""Blocks of addresses, each with a port; empty where they are not known."""

_log = structlog.stdlib.get_logger(__name__)


class ApiServer:
    """The API server's addresses, read once for all that need them."""

    def __init__(self, kube: Kube, told: network.ApiServer) -> None:
        self._kube = kube
        self._told: Addresses = tuple((cidr, told.port) for cidr in told.cidrs)
        self._found: Addresses | None = None
        self._users: set[Key] = set()
        self._lock = asyncio.Lock()

    async def look(self, key: Key) -> Addresses:
        """The addresses; from now on `poll` tells this user of another.

        Raises:
            ApiError: they could not be read for a reason that may pass.
        """
        if self._told:
            return self._told
        self._users.add(key)
        async with self._lock:
            if self._found is None:
                self._found = await self._read()
            return self._found

    def release(self, key: Key) -> None:
        """This user needs them no more."""
        self._users.discard(key)

    async def poll(self, every: float, changed: Callable[[Key], None]) -> None:
        """Read them anew each `every` seconds while somebody needs them; `changed` is told of everybody who does."""
        while True:
            await asyncio.sleep(every)
            if not self._users:
                continue
            async with self._lock:
                try:
                    found = await self._read()
                except ApiError as error:
                    _log.warning("The addresses of the API server could not be read", error=str(error))
                    continue
                # What is gone or forbidden must not cut off pods that run.
                if found in ((), self._found):
                    continue
                self._found = found
            for key in tuple(self._users):
                changed(key)

    async def _read(self) -> Addresses:
        slices: list[dict[str, Any]] = []
        try:
            body = await self._kube.get(SERVICES, NAMESPACE, NAME)
            async for page in self._kube.pages(ENDPOINT_SLICES, NAMESPACE, f"kubernetes.io/service-name={NAME}"):
                slices += page
        except (NotFound, Forbidden):
            return ()
        return addresses(body.get("spec") or {}, slices)


def addresses(service: Mapping[str, Any], slices: Iterable[Mapping[str, Any]]) -> Addresses:
    """Where connections to a Service may be seen to go.

    Network plugins judge them either by the Service's own addresses or by those behind it.
    """
    own = {
        (_block(address), port["port"])
        for address in service.get("clusterIPs") or ()
        if address != "None"
        for port in service.get("ports") or ()
    }
    behind = {
        (_block(address), port["port"])
        for part in slices
        if part["addressType"] in ("IPv4", "IPv6")
        for endpoint in part.get("endpoints") or ()
        for address in endpoint["addresses"]
        for port in part.get("ports") or ()
        if port.get("port")
    }
    return tuple(sorted(own | behind))


def _block(address: str) -> str:
    return f"{address}/{ip_address(address).max_prefixlen}"
