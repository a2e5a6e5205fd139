"""The Secrets and ConfigMaps that agents refer to: read by name, never listed, and only digests of values are kept."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from apm_operator.errors import ApiError, Forbidden, NotFound
from apm_operator.kinds import CONFIG_MAPS, SECRETS
from apm_operator.kube import Kube
from apm_operator.queue import Key
from apm_operator.reconcile.endpoints import Endpoint, of_mongodb_uri, of_url

_ROUNDS = 10_000
_POLLS_AT_ONCE = 4
_URI_LIMIT = 4096
_RESOURCES = {resource.kind: resource for resource in (SECRETS, CONFIG_MAPS)}

_log = structlog.stdlib.get_logger(__name__)


class SecretUse(NamedTuple):
    """A key of a Secret or ConfigMap that an agent's pods need; `key=""` means all keys.

    Attributes:
        live: the pods read the value when they use it, so that another one does not roll them.
    """

    name: str
    key: str
    optional: bool = False
    kind: str = SECRETS.kind
    live: bool = False


class At(NamedTuple):
    """Names one Secret or ConfigMap."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a pass learns about an agent's Secrets: the combined digest, and what is wrong.

    Attributes:
        missing: uses of objects that are not there.
        incomplete: uses of keys that an object which is there does not have.
        unreadable: kind and name of each that the operator has no right to.
    """

    fingerprint: str = ""
    missing: tuple[SecretUse, ...] = ()
    incomplete: tuple[SecretUse, ...] = ()
    unreadable: tuple[str, ...] = ()


@dataclass(slots=True)
class _Secret:
    """A Secret or ConfigMap as last read.

    Attributes:
        keys: quick digest of each key's value, to notice changes by; None where the object does not exist.
        shown: slow digest of each use so far, by key; "" stands for all keys.
        endpoints: hosts and ports of each key's value that is a connection string of MongoDB. They outlast the object:
            pods that run must not lose MongoDB because a Secret, or the right to read it, is gone.
    """

    version: str = ""
    keys: dict[str, bytes] | None = None
    shown: dict[str, str] = field(default_factory=dict)
    endpoints: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    forbidden: bool = False
    read: bool = False
    users: set[Key] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Secrets:
    """All Secrets and ConfigMaps that are referred to, each read once for all agents that use it."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._secrets: dict[At, _Secret] = {}
        self._by_user: dict[Key, set[At]] = {}

    async def look(self, key: Key, uses: Iterable[SecretUse]) -> Findings:
        """The state of the Secrets that an agent uses; only one that is new is read now.

        Raises:
            ApiError: a Secret could not be read for a reason that may pass.
        """
        digests: list[str] = []
        missing: list[SecretUse] = []
        incomplete: list[SecretUse] = []
        unreadable: set[str] = set()
        for use in sorted(set(uses)):
            at = _at(key, use)
            secret = self._secrets.setdefault(at, _Secret())
            if not secret.read:
                async with secret.lock:
                    if not secret.read:
                        await self._read(at, secret)
            if secret.forbidden:
                unreadable.add(f"{use.kind} {use.name}")
            elif secret.keys is None or (use.key and use.key not in secret.keys):
                if not use.optional:
                    (missing if secret.keys is None else incomplete).append(use)
            elif not use.live:
                digests.append(f"{_mark(use)}={_shown(secret, secret.keys, use.key)}")
        fingerprint = hashlib.sha256("\n".join(digests).encode()).hexdigest()[:10] if digests else ""
        return Findings(fingerprint, tuple(missing), tuple(incomplete), tuple(sorted(unreadable)))

    def endpoints(self, key: Key, use: SecretUse) -> tuple[Endpoint, ...] | None:
        """Where a connection string of MongoDB, or an address, leads to; None where it is none or can't be read.

        Nothing else of a Secret's value is told.
        """
        secret = self._secrets.get(_at(key, use))
        return secret.endpoints.get(use.key) if secret is not None else None

    def keep(self, key: Key, uses: Iterable[SecretUse]) -> None:
        """An agent uses these and no others; one that nobody uses is read no more."""
        names = {_at(key, use) for use in uses}
        for at in self._by_user.get(key, set()) - names:
            secret = self._secrets[at]
            secret.users.discard(key)
            if not secret.users:
                del self._secrets[at]
        for at in names:
            self._secrets.setdefault(at, _Secret()).users.add(key)
        if names:
            self._by_user[key] = names
        else:
            self._by_user.pop(key, None)

    def release(self, key: Key) -> None:
        """An agent is gone."""
        self.keep(key, ())

    async def poll(self, every: float, changed: Callable[[Key], None]) -> None:
        """Read each anew every `every` seconds; `changed` is told of the agents that use a changed one."""
        gate = asyncio.Semaphore(_POLLS_AT_ONCE)

        async def one(at: At, secret: _Secret) -> None:
            async with gate, secret.lock:
                try:
                    news = await self._read(at, secret)
                except ApiError as error:
                    _log.warning(f"A {at.kind} could not be read", namespace=at.namespace, of=at.name, error=str(error))
                    return
            if news:
                for key in tuple(secret.users):
                    changed(key)

        while True:
            await asyncio.sleep(every)
            await asyncio.gather(*(one(at, secret) for at, secret in tuple(self._secrets.items())))

    async def _read(self, at: At, secret: _Secret) -> bool:
        """Read one object; whether something that matters is new."""
        before = (secret.keys, secret.forbidden)
        try:
            body = await self._kube.get(_RESOURCES[at.kind], at.namespace, at.name)
        except NotFound:
            secret.version, secret.keys, secret.forbidden = "", None, False
        except Forbidden:
            secret.version, secret.keys, secret.forbidden = "", None, True
        else:
            if body["metadata"]["resourceVersion"] != secret.version:
                salt = body["metadata"]["uid"].encode()
                data = body.get("data") or {}
                decode = base64.b64decode if at.kind == SECRETS.kind else str.encode
                values = {each: decode(data[each]) for each in sorted(data)}
                secret.keys = {each: hashlib.sha256(salt + value).digest() for each, value in values.items()}
                secret.endpoints = _endpoints(values) if at.kind == SECRETS.kind else {}
                secret.shown = {}
                secret.version = body["metadata"]["resourceVersion"]
            secret.forbidden = False
        first, secret.read = not secret.read, True
        return first or before != (secret.keys, secret.forbidden)


def _at(key: Key, use: SecretUse) -> At:
    return At(use.kind, key.namespace, use.name)


def _mark(use: SecretUse) -> str:
    return f"{use.name}/{use.key}" if use.kind == SECRETS.kind else f"{use.kind} {use.name}/{use.key}"


def _endpoints(values: Mapping[str, bytes]) -> dict[str, tuple[Endpoint, ...]]:
    found = {}
    for key, value in values.items():
        if value.startswith(b"mongodb") and len(value) <= _URI_LIMIT:
            with contextlib.suppress(ValueError):  # what is no such string leads nowhere
                found[key] = of_mongodb_uri(value.decode().strip())
        elif value.startswith((b"http://", b"https://")) and len(value) <= _URI_LIMIT:
            with contextlib.suppress(ValueError):
                found[key] = (of_url(value.decode().strip(), "an address in a Secret"),)
    return found


def _shown(secret: _Secret, keys: dict[str, bytes], key: str) -> str:
    """Digest of one key's value, or of all of them for `key=""`.

    Slow on purpose, since what is made of it stands in an annotation, and a value may be a short password. So it is
    made once for what is used, not for each of the thousands of keys that a Secret may have.
    """
    if key not in secret.shown:
        used = keys[key] if key else b"".join(name.encode() + b"\0" + value for name, value in keys.items())
        secret.shown[key] = hashlib.pbkdf2_hmac("sha256", used, b"apm", _ROUNDS).hex()
    return secret.shown[key]
