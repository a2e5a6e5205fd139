"""Talking to agents from this machine: by HTTPS, with a caller's key."""

import base64
import json
import secrets
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from langgraph_sdk.client import SyncLangGraphClient

from cluster.provider import Provider

CALLERS = "apm-callers"
"""Secret with the keys of those who may call; the examples' agents and the tests' refer to it."""
CALLER = "visitor"
PORT, PLAIN_PORT = 8443, 8080

Kubectl = Callable[..., str]
"""Output of kubectl in the agents' namespace."""


def ensure_caller(kubectl: Kubectl) -> None:
    """Have the Secret with a random key of one caller."""
    if not kubectl("get", "secret", CALLERS, "--ignore-not-found", "--output=name"):
        kubectl("create", "secret", "generic", CALLERS, f"--from-literal={CALLER}={secrets.token_urlsafe(32)}")


def key(kubectl: Kubectl) -> str:
    """The caller's key."""
    data = json.loads(kubectl("get", "secret", CALLERS, "--output=json"))["data"]
    return base64.b64decode(data[CALLER]).decode()


def authorities(kubectl: Kubectl, agent: str) -> str:
    """Certificates of the authorities that an agent's own certificate can be of, PEM."""
    return str(json.loads(kubectl("get", "configmap", f"{agent}-trust", "--output=json"))["data"]["ca.crt"])


def context(kubectl: Kubectl, agent: str, caller: str = "") -> ssl.SSLContext:
    """Trusts whom an agent's clients should, and shows the certificate of the agent `caller` if one is named."""
    made = ssl.create_default_context(cadata=authorities(kubectl, agent))
    if caller:
        data = json.loads(kubectl("get", "secret", f"{caller}-tls", "--output=json"))["data"]
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"".join(base64.b64decode(data[name]) for name in ("tls.crt", "tls.key")))
            file.flush()
            made.load_cert_chain(file.name)
    return made


@contextmanager
def http(
    provider: Provider, kubectl: Kubectl, namespace: str, agent: str, *, tls: bool = True, caller: str = ""
) -> Iterator[httpx.Client]:
    """An HTTP client that reaches an agent's Service and knows it by its certificate.

    It brings no proof of its own, unless it has the certificate of the agent `caller`.
    """
    name = f"{agent}.{namespace}.svc"

    def know_by_name(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = name

    hooks = {"request": [know_by_name]} if tls else {}
    with (
        provider.reach(namespace, agent, PORT if tls else PLAIN_PORT) as (host, port),
        httpx.Client(
            base_url=f"{'https' if tls else 'http'}://{host}:{port}",
            # A node learns of a Service's pods some moments after they are ready; until then it refuses connections.
            transport=httpx.HTTPTransport(verify=context(kubectl, agent, caller) if tls else True, retries=6),
            event_hooks=hooks,
            timeout=httpx.Timeout(300, connect=5),
            trust_env=False,
        ) as client,
    ):
        yield client


@contextmanager
def client(
    provider: Provider, kubectl: Kubectl, namespace: str, agent: str, *, tls: bool = True
) -> Iterator[SyncLangGraphClient]:
    """A client of LangGraph's own SDK that speaks to an agent with the caller's key."""
    with http(provider, kubectl, namespace, agent, tls=tls) as connected:
        connected.headers["X-Api-Key"] = key(kubectl)
        yield SyncLangGraphClient(connected)
