"""A Collector with a certificate of a house's own authority, and what an agent's spec says to send to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster import otelcol
from fakes.authority import Authority
from fakes.otlp_receiver import Receiver, otlp_receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class Collector:
    """One that runs.

    Attributes:
        taken: what it took, as it hands it on.
        tracing: of an agent's spec.
        secrets: the folder in which the agent's pod finds its Secrets.
    """

    taken: Receiver
    tracing: dict[str, Any]
    secrets: Path


@asynccontextmanager
async def collector(folder: Path) -> AsyncIterator[Collector]:
    """A Collector for the length of the block; `folder` may have Secrets in `secrets`."""
    authority = Authority("house")
    pod, secrets = folder / "collector", folder / "secrets"
    pod.mkdir()
    trust(secrets, authority)
    for name, text in zip(("tls.crt", "tls.key"), authority.issue(), strict=True):
        (pod / name).write_text(text)
    async with otlp_receiver() as taken:
        with otelcol.running(pod, taken.url, pod / "tls.crt", pod / "tls.key") as url:
            tls = {"caSecretRef": {"name": "house", "key": "ca.crt"}}
            yield Collector(taken, {"endpoint": url, "tls": tls}, secrets)


def trust(secrets: Path, authority: Authority) -> None:
    """Mounts an authority's certificate as the Secret that the spec names."""
    (secrets / "house").mkdir(parents=True, exist_ok=True)
    (secrets / "house" / "ca.crt").write_text(authority.pem)
