"""What the activator is told from outside: the only place of this package that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

ANYWHERE = "0.0.0.0"  # noqa: S104  a pod is reached at its own address


class SettingsError(Exception):
    """A value can't be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set from outside.

    Attributes:
        host: of the Service that selects the agent's own pods.
        upstream_port: where that Service listens.
        port: where the activator does, in the agent's stead.
        status_port: where KEDA, the scraper and the kubelet ask.
        most: connections at the same time; what comes beyond is closed.
        first: longest time until a connection's first bytes.
        hold: longest time that a connection waits for a pod.
        idle: longest time without a byte in either direction.
        linger: how long new connections are taken after SIGTERM: nodes learn late that the pod is to end.
        drain: how long open ones then have to end.
    """

    host: str
    upstream_port: int
    port: int
    status_port: int = 8081
    most: int = 256
    first: float = 10.0
    hold: float = 60.0
    idle: float = 3600.0
    linger: float = 5.0
    drain: float = 280.0


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings from the environment.

    Raises:
        SettingsError: one is missing or is no number.
    """
    host = environment.get("APM_UPSTREAM_HOST", "")
    if not host:
        raise SettingsError("APM_UPSTREAM_HOST is not set")
    defaults = Settings(host=host, upstream_port=0, port=0)
    return Settings(
        host=host,
        upstream_port=_whole(environment, "APM_UPSTREAM_PORT", None),
        port=_whole(environment, "APM_PORT", None),
        status_port=_whole(environment, "APM_STATUS_PORT", defaults.status_port),
        most=_whole(environment, "APM_MOST_CONNECTIONS", defaults.most),
        first=_seconds(environment, "APM_FIRST_BYTES_SECONDS", defaults.first),
        hold=_seconds(environment, "APM_HOLD_SECONDS", defaults.hold),
        idle=_seconds(environment, "APM_IDLE_SECONDS", defaults.idle),
        linger=_seconds(environment, "APM_LINGER_SECONDS", defaults.linger),
        drain=_seconds(environment, "APM_DRAIN_SECONDS", defaults.drain),
    )


def _whole(environment: Mapping[str, str], name: str, default: int | None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"{name}={text!r}: set it to a number")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise SettingsError(f"{name}={text!r}: set it to a number of seconds")
    return value
