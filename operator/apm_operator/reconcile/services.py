"""The Services that agents connect to: read by name, never listed, and again from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from apm_operator.errors import ApiError, Forbidden, NotFound
from apm_operator.kinds import ENDPOINT_SLICES, SERVICES
from apm_operator.kube import Kube
from apm_operator.manifests.networkpolicy import Target
from apm_operator.queue import Key
from apm_operator.reconcile.endpoints import ServiceName

_POLLS_AT_ONCE = 4

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What a policy needs to know of a Service.

    Attributes:
        labels: its selector; empty where somebody else sets its addresses.
        ports: port of the Service to the ports behind it, as numbers or names.
        any_port: connections go straight to the pods (it is headless), so that each port stays what it is.
        cidrs: addresses behind a Service without a selector.
        external: name elsewhere that it stands for.
    """

    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[int, tuple[int | str, ...]], ...] = ()
    any_port: bool = False
    cidrs: tuple[str, ...] = ()
    external: str = ""

    def target(self, namespace: str, port: int) -> Target | None:
        """Where a connection to this port of the Service arrives; None where it has no such port."""
        behind = dict(self.ports).get(port, (port,) if self.any_port else ())
        if not behind or not (self.labels or self.cidrs):
            return None
        return Target(behind, namespace, self.labels, self.cidrs)


Found = Service | Literal["missing", "forbidden"]


@dataclass(slots=True)
class _Record:
    found: Found | None = None
    users: set[Key] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Services:
    """All Services that specs name, each read once for all agents that use it."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._records: dict[ServiceName, _Record] = {}
        self._by_user: dict[Key, set[ServiceName]] = {}

    async def look(self, key: Key, names: Iterable[ServiceName]) -> dict[ServiceName, Found]:
        """What is known of these Services, which are all that an agent uses; only one that is new is read now.

        Raises:
            ApiError: a Service could not be read for a reason that may pass.
        """
        wanted = set(names)
        self._keep(key, wanted)
        found: dict[ServiceName, Found] = {}
        for at in sorted(wanted):
            record = self._records[at]
            if record.found is None:
                async with record.lock:
                    if record.found is None:
                        record.found = await self._read(at)
            found[at] = record.found
        return found

    def release(self, key: Key) -> None:
        """An agent is gone."""
        self._keep(key, set())

    def _keep(self, key: Key, names: set[ServiceName]) -> None:
        for at in self._by_user.get(key, set()) - names:
            record = self._records[at]
            record.users.discard(key)
            if not record.users:
                del self._records[at]
        for at in names:
            self._records.setdefault(at, _Record()).users.add(key)
        if names:
            self._by_user[key] = names
        else:
            self._by_user.pop(key, None)

    async def poll(self, every: float, changed: Callable[[Key], None]) -> None:
        """Read every Service anew each `every` seconds; `changed` is told of the agents that use a changed one."""
        gate = asyncio.Semaphore(_POLLS_AT_ONCE)

        async def one(at: ServiceName, record: _Record) -> None:
            async with gate, record.lock:
                try:
                    found = await self._read(at)
                except ApiError as error:
                    _log.warning(
                        "A Service could not be read", namespace=at.namespace, service=at.name, error=str(error)
                    )
                    return
            if found == "forbidden" and isinstance(record.found, Service):
                return  # a right that was taken away must not cut off pods that run
            if found != record.found:
                record.found = found
                for key in tuple(record.users):
                    changed(key)

        while True:
            await asyncio.sleep(every)
            await asyncio.gather(*(one(at, record) for at, record in tuple(self._records.items())))

    async def _read(self, at: ServiceName) -> Found:
        try:
            body = await self._kube.get(SERVICES, at.namespace, at.name)
            spec = body.get("spec") or {}
            if spec.get("type") == "ExternalName" or spec.get("selector"):
                return read(spec)
            slices: list[dict[str, Any]] = []
            async for page in self._kube.pages(ENDPOINT_SLICES, at.namespace, f"kubernetes.io/service-name={at.name}"):
                slices += page
        except NotFound:
            return "missing"
        except Forbidden:
            return "forbidden"
        return with_slices(spec, slices)


def read(spec: Mapping[str, Any]) -> Service:
    """A Service that selects pods, or that stands for a name elsewhere."""
    if spec.get("type") == "ExternalName":
        return Service(external=str(spec.get("externalName", "")))
    ports = {
        port["port"]: (port.get("targetPort") or port["port"],)
        for port in spec.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    }
    headless = spec.get("clusterIP") == "None"
    return Service(
        labels=tuple(sorted(spec["selector"].items())),
        ports=() if headless else tuple(sorted(ports.items())),
        any_port=headless,
    )


def with_slices(spec: Mapping[str, Any], slices: Iterable[Mapping[str, Any]]) -> Service:
    """A Service whose addresses somebody else keeps in EndpointSlices."""
    slices = list(slices)
    blocks = {
        f"{address}/{128 if part['addressType'] == 'IPv6' else 32}"
        for part in slices
        if part["addressType"] in ("IPv4", "IPv6")
        for endpoint in part.get("endpoints") or ()
        for address in endpoint["addresses"]
    }
    behind = {
        (port.get("name") or "", port["port"])
        for part in slices
        for port in part.get("ports") or ()
        if port.get("port")
    }
    ports = {
        port["port"]: tuple(sorted(number for name, number in behind if name == (port.get("name") or "")))
        for port in spec.get("ports") or ()
    }
    headless = spec.get("clusterIP") == "None"
    return Service(
        ports=() if headless else tuple(sorted(ports.items())),
        any_port=headless,
        cidrs=tuple(sorted(blocks)),
    )
