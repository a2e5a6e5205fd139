"""Who a certificate belongs to, and where an agent's pods find theirs.

The identity is the certificate's one URI name, as SPIFFE has it.
"""

from __future__ import annotations

from pathlib import Path

TRUST_DOMAIN = "apm.valeo-neuroerp.com"
OPERATOR_URI = f"spiffe://{TRUST_DOMAIN}/operator"
SCRAPER_URI = f"spiffe://{TRUST_DOMAIN}/scraper"

TLS_DIR = Path("/var/run/apm/tls")
"""Holds `tls.crt`, `tls.key` and, where the issuer tells it, `ca.crt`."""

TRUST_DIR = Path("/var/run/apm/trust")
"""Holds `ca.crt`, all authorities to trust, and `callers.json`, the agents that may call this one."""

_AGENT = ("ns", "agent")


def agent_uri(namespace: str, name: str) -> str:
    """The URI of an agent."""
    return f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/agent/{name}"


def agent_of(uri: str) -> str | None:
    """The agent, as `namespace/name`, that a URI names; None if it names something else."""
    path = uri.removeprefix(f"spiffe://{TRUST_DOMAIN}/")
    parts = path.split("/")
    if path == uri or tuple(parts[::2]) != _AGENT or not all(parts):
        return None
    return f"{parts[1]}/{parts[3]}" if len(parts) == 2 * len(_AGENT) else None
