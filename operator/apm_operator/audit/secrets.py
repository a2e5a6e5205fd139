"""Which Secrets an agent's resource refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Use(NamedTuple):
    """A key of a Secret; `key=""` means all of its keys."""

    name: str
    key: str


def uses(spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The keys by Secret; `*` stands for all keys.

    Every field that refers to a Secret is named so (`apiKeySecretRef`, `secretKeyRef`, `secretRef`), also one that the
    schema gets later.
    """
    keys: dict[str, set[str]] = {}
    for use in sorted(set(_references(spec))):
        keys.setdefault(use.name, set()).add(use.key or "*")
    return {name: ("*",) if "*" in found else tuple(sorted(found)) for name, found in keys.items()}


def _references(spec: Mapping[str, Any]) -> Iterator[Use]:
    for secret in spec.get("imagePullSecrets") or ():
        yield Use(str(secret.get("name")), ".dockerconfigjson")
    waiting: list[Any] = [spec]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                if _is_reference(name, inner):
                    yield Use(str(inner["name"]), str(inner.get("key") or ""))
                else:
                    waiting.append(inner)


def _is_reference(field: str, value: Any) -> bool:
    named = field.endswith(("SecretRef", "secretRef", "SecretKeyRef", "secretKeyRef"))
    return named and isinstance(value, Mapping) and isinstance(value.get("name"), str)
