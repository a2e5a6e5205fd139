"""Where an agent connects to, as its spec says it: hosts and ports, with the words in which trouble is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from agent_runtime.spec.integrations import ADDRESS_PATTERN, VARIABLES
from agent_runtime.spec.node import AgentNode
from apm_operator.api.network import METADATA

if TYPE_CHECKING:
    from agent_runtime.spec.workflow import WorkflowSpec
    from apm_operator.api.agentdeployment import AgentDeploymentSpec

_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MONGODB_PORT = 27017
_SRV = "mongodb+srv"


class Endpoint(NamedTuple):
    """A host and port.

    Attributes:
        port: 0 where it can't be known from here, as with a DNS record SRV.
        purpose: what it is for, such as `model default`.
    """

    host: str
    port: int
    purpose: str


class ServiceName(NamedTuple):
    """Names a Service."""

    namespace: str
    name: str


def of_spec(spec: AgentDeploymentSpec) -> tuple[Endpoint, ...]:
    """The endpoints that the spec tells, of models, tools, webhooks and others; MongoDB's are secret."""
    return tuple(sorted(set(_of_spec(spec))))


def _of_spec(spec: AgentDeploymentSpec) -> Iterator[Endpoint]:
    for model in spec.models:
        if model.base_url is not None:
            yield of_url(model.base_url, f"model {model.name}")
    for flow in (spec.workflow, *spec.workflows):
        if flow is not None:
            yield from _of_workflow(flow)
    yield from _of_services(spec)
    if spec.runs is not None and spec.runs.webhooks is not None:
        for origin in spec.runs.webhooks.origins:
            yield of_url(origin, "webhooks")
    yield from _of_sinks(spec)
    for issuer in spec.auth.jwt if spec.auth is not None else ():
        yield of_url(issuer.jwks_url, f"keys of {issuer.issuer}")


def _of_services(spec: AgentDeploymentSpec) -> Iterator[Endpoint]:
    yield from _of_integrations(spec)
    for server in spec.mcp_servers:
        yield of_url(server.url, f"MCP server {server.name}")
    if spec.redis is not None:
        yield Endpoint(spec.redis.host, spec.redis.port, "Redis")
    if spec.tracing is not None:
        yield of_url(spec.tracing.endpoint, "traces")


def _of_sinks(spec: AgentDeploymentSpec) -> Iterator[Endpoint]:
    for sink in spec.events.sinks if spec.events is not None else ():
        if sink.url is not None:
            yield of_url(sink.url, f"sink {sink.name}")


def _of_workflow(flow: WorkflowSpec) -> Iterator[Endpoint]:
    for tool in flow.tools:
        if tool.http is not None:
            yield of_url(tool.http.url, f"tool {tool.name}")
    for node in flow.nodes:
        if isinstance(node, AgentNode) and node.with_.url is not None:
            yield of_url(node.with_.url, f"agent of node {node.name}")


def _of_integrations(spec: AgentDeploymentSpec) -> Iterator[Endpoint]:
    """Addresses in the spec, and those in its `env`; what a Secret or ConfigMap says is not known here."""
    environment = {variable.name: variable.value or "" for variable in spec.env}
    for name, (variable, _) in VARIABLES.items():
        integration = spec.integrations.by_name(name) if spec.integrations else None
        url = (integration and integration.base_url) or environment.get(variable, "")
        if re.fullmatch(ADDRESS_PATTERN, url):
            yield of_url(url, f"integration {name}")


def of_url(url: str, purpose: str) -> Endpoint:
    """The endpoint of an `http` or `https` address."""
    # The path may hold `{argument}`, and a port that is none is told as unknown.
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    return Endpoint(parts.hostname or "", _DEFAULT_PORTS[parts.scheme] if port is None else port, purpose)


def of_mongodb_uri(uri: str) -> tuple[Endpoint, ...]:
    """The hosts of a connection string, and nothing else of it.

    Strict, since what is taken for a host is shown: of a string that breaks the rules nothing is taken.
    https://www.mongodb.com/docs/manual/reference/connection-string/

    Raises:
        ValueError: it is none; the message holds no part of it.
    """
    scheme, found, rest = uri.partition("://")
    authority, path = re.match(r"([^/?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if not found or scheme not in ("mongodb", _SRV) or "@" in path:
        raise ValueError("it is no MongoDB connection string")
    hosts = [_host_and_port(each) for each in authority.rpartition("@")[2].split(",")]
    if scheme == _SRV:
        return tuple(Endpoint(host, 0, "MongoDB") for host, _ in hosts)
    return tuple(sorted({Endpoint(host, port, "MongoDB") for host, port in hosts}))


def _host_and_port(text: str) -> tuple[str, int]:
    host, found, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not found:
        host, port = text, str(_MONGODB_PORT)
    if host.startswith("[") and host.endswith("]") and address(host[1:-1]) is not None:
        host = host[1:-1]
    elif _HOST.fullmatch(host) is None:
        raise ValueError("a host in it is not well-formed")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):  # noqa: PLR2004  the largest port
        raise ValueError("a port in it is not well-formed")
    return host, int(port)


def address(host: str) -> str | None:
    """The block that holds just this address; None where `host` is a name."""
    try:
        found = _address(host)
    except ValueError:
        return None
    return f"{found}/{found.max_prefixlen}"


def is_ordinary(host: str) -> bool:
    """Whether an address is neither one of a cloud's metadata services, which may be link-local, nor multicast."""
    found = _address(host)
    metadata = any(found in ip_network(block) for block in METADATA)
    return not (metadata or found.is_link_local or found.is_multicast or found.is_unspecified)


def is_loopback(host: str) -> bool:
    """Whether a host is the pod itself, which no policy concerns."""
    try:
        return _address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(host: str) -> IPv4Address | IPv6Address:
    """An address; of an IPv6 address that stands for one of IPv4, that one: it is where connections go.

    Raises:
        ValueError: it is a name.
    """
    found = ip_address(host)
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def services(host: str, namespace: str) -> tuple[ServiceName, ...]:
    """The Services that a name may stand for in a pod of `namespace`, the most probable first.

    `svc`, `svc.ns`, `svc.ns.svc` and `svc.ns.svc.DOMAIN`; each may have a pod's name in front, where the Service is
    headless. https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
    """
    labels = host.lower().rstrip(".").split(".")
    if "svc" in labels[2:4]:
        end = labels.index("svc", 2)
        return (ServiceName(labels[end - 1], labels[end - 2]),)
    match labels:
        case [name]:
            return (ServiceName(namespace, name),)
        case [first, second]:
            return (ServiceName(second, first), ServiceName(namespace, second))
        case [_, second, third]:
            return (ServiceName(third, second),)
    return ()


def only_inside(host: str) -> bool:
    """Whether a name can't be a public one."""
    labels = host.lower().rstrip(".").split(".")
    return len(labels) == 1 or "svc" in labels[2:4]
