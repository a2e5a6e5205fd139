"""Where Redis is, for code that asks for limits by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.errors import ConfigError

_LARGEST_PORT = 65535


@dataclass(frozen=True)
class RedisPlace:
    """A Redis or Valkey.

    Attributes:
        password: asked for at each new connection; None where none is needed.
        authorities: a file of certificates, where it is reached by TLS.
        scope: the beginning of the names under which things are counted.
    """

    host: str
    port: int
    password: Callable[[], str] | None = None
    authorities: Path | None = None
    scope: str = "python"


def from_environment(environ: Mapping[str, str] | None = None) -> RedisPlace | None:
    """The one that `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD` and `REDIS_CA_FILE` name; None without `REDIS_HOST`.

    Raises:
        ConfigError: The port is none.
    """
    env = os.environ if environ is None else environ
    host = env.get("REDIS_HOST", "")
    if not host:
        return None
    port = env.get("REDIS_PORT", "6379")
    if not port.isdigit() or not 0 < int(port) <= _LARGEST_PORT:
        raise ConfigError(f"REDIS_PORT is {port!r}: set it to a number from 1 to {_LARGEST_PORT}")
    password, authorities = env.get("REDIS_PASSWORD"), env.get("REDIS_CA_FILE")
    return RedisPlace(
        host,
        int(port),
        None if not password else lambda: password,
        None if not authorities else Path(authorities),
    )
