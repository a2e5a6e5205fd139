"""The address that an agent tells of itself."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from agent_runtime.server.wire import agent_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from agent_runtime.spec.agent import RuntimeConfig

_HOST = re.compile(r"(?P<name>[-A-Za-z0-9._]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


def own_address(request: Request) -> str:
    """The URL under which the sender of a request reaches the agent, without a path of the agent's own.

    That of the spec; else the name that the request uses, where the agent is known to have it; else the Service's. A
    sender may write any name into `Host`, and a card that repeats it would lead whoever gets it from a cache elsewhere.
    """
    agent = agent_of(request)
    serve = agent.config.spec.serve
    if serve is not None and serve.url is not None:
        return serve.url.rstrip("/")
    host = request.headers.get("host", "")
    found = _HOST.fullmatch(host)
    if found is not None and _is_own(found["name"].lower().strip("[]"), agent.config):
        return f"{request.url.scheme}://{host}"
    about = agent.config.agent
    scheme = "https" if agent.config.tls else "http"
    return f"{scheme}://{about.name}.{about.namespace}.svc:{request.scope['server'][1]}"


def _is_own(host: str, config: RuntimeConfig) -> bool:
    about = config.agent
    service = f"{about.name}.{about.namespace}"
    if host in {"localhost", about.name, service, f"{service}.svc"} or host.startswith(f"{service}.svc."):
        return True
    if config.spec.serve is not None and host in config.spec.serve.hosts:
        return True
    try:
        # By `kubectl port-forward`, or from within the pod.
        return ip_address(host).is_loopback
    except ValueError:
        return False
