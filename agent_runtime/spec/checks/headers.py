from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.headers import SECRET_HEADERS, TAKEN_HEADERS, SecretHeader
from agent_runtime.spec.secret import SecretKeyRef


class Sender(Protocol):
    """What sends requests with headers of the spec."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Those without secrets."""

    @property
    def api_key_header(self) -> str:
        """The one that carries the API key."""

    @property
    def api_key_secret_ref(self) -> SecretKeyRef | None:
        """Where the API key is."""


class SecretSender(Protocol):
    """Likewise, with some headers whose values are in Secrets."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Those without secrets."""

    @property
    def secret_headers(self) -> tuple[SecretHeader, ...]:
        """Those with secrets."""


def check_secret_headers(
    sender: SecretSender, where: str, seen: Iterable[str], taken: Callable[[str], bool]
) -> Iterator[Problem]:
    """As `check_headers`. In small letters, `seen` are set already, and `taken` says what the runtime sets."""
    known = set(seen)
    for name in sender.headers:
        if name.lower() in SECRET_HEADERS:
            yield Problem(f"{where}.headers", f"`{name}` carries a secret: move it to `secretHeaders`")
        if taken(name.lower()):
            yield Problem(f"{where}.headers", f"`{name}` is set by the runtime: remove it")
        known.add(name.lower())
    for number, header in enumerate(sender.secret_headers):
        path = f"{where}.secretHeaders[{number}].name"
        if taken(header.name.lower()):
            yield Problem(path, f"`{header.name}` is set by the runtime: remove it")
        if header.name.lower() in known:
            yield Problem(path, f"`{header.name}` is set twice: remove it here or there")
        known.add(header.name.lower())


def check_headers(sender: Sender, where: str) -> Iterator[Problem]:
    """Headers carry no secrets in plain sight, and none is set twice."""
    for name in sender.headers:
        if name.lower() in SECRET_HEADERS:
            yield Problem(f"{where}.headers", f"`{name}` carries a secret: remove it, and set `bearerTokenSecretRef`")
        elif name.lower() in TAKEN_HEADERS:
            yield Problem(f"{where}.headers", f"`{name}` is set by the runtime: remove it")
    yield from _check_api_key(sender, f"{where}.apiKeyHeader")


def _check_api_key(sender: Sender, where: str) -> Iterator[Problem]:
    name = sender.api_key_header.lower()
    if sender.api_key_secret_ref is None:
        return
    if name in SECRET_HEADERS:
        yield Problem(where, f"`{sender.api_key_header}` takes no API key: set `bearerTokenSecretRef`")
    elif name in TAKEN_HEADERS:
        yield Problem(where, f"`{sender.api_key_header}` is set by the runtime: name another header")
    elif name in {each.lower() for each in sender.headers}:
        yield Problem(where, f"`{sender.api_key_header}` stands in `headers` as well: remove it there")
