"""What the pod's environment says. No other module reads it."""

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.errors import ConfigError
from agent_runtime.redaction import Redaction
from agent_runtime.spec.identity import TLS_DIR, TRUST_DIR
from agent_runtime.spec.secret import API_KEYS_DIR, SECRETS_DIR

_LIBRARY_DEFAULTS = {
    # Nothing leaves the pod unasked.
    "LANGSMITH_TRACING": "false",
    # Checkpoints are data: no class named in one is imported.
    "LANGGRAPH_STRICT_MSGPACK": "true",
}

_OF_THE_OPERATOR = ("APM_CONFIG", "POD_NAME")
"""All that a pod of the operator reads. The rest may come from a ConfigMap that the agent names with other things in
mind, such as a `PORT`, or that somebody else may write."""


_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Of the pod's ServiceAccount, where the agent has permissions in the Kubernetes API."""

_SECRET_NAME = re.compile("PASSW|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|DSN|URI|URL|CONNECTION", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """Settings of one pod. Times are in seconds."""

    config_file: Path = Path("/etc/apm/agent.json")
    secrets_dir: Path = SECRETS_DIR
    api_keys_dir: Path = API_KEYS_DIR
    tls_dir: Path = TLS_DIR
    trust_dir: Path = TRUST_DIR
    termination_log: Path = Path("/dev/termination-log")
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached at its own address
    port: int = 0
    """0 is 8443 with TLS and 8080 without."""
    pod_name: str = ""
    log_level: str = "info"
    log_format: str = "json"
    max_runs: int | None = None
    """Runs that execute at the same time, in place of `runs.concurrency`."""
    threads: int = 32
    """Threads for blocking calls, such as nodes that are no coroutines."""
    memory_threads: int = 1000
    """Conversations that an agent without `state` keeps in memory."""
    memory_bytes: int = 64 << 20
    """Bytes of them, together."""
    max_body_bytes: int = 1 << 20
    follow_limit: float = 3600.0
    """How long an answer may follow a run: a stream, or one that waits. The run itself is not bound by it."""
    max_requests: int = 1000
    """Requests that are served at the same time, waiting ones and streams included."""
    lease_timeout: float = 10.0
    """How long a run's owner may show no sign of life before another pod takes the run over."""
    drain_delay: float = 5.0
    """Pause between SIGTERM and closing the port, until no Service sends requests here any more."""
    drain_timeout: float = 40.0
    """How long open requests may take after that; with the pause below the pod's grace of 60 s."""

    secret_values: tuple[str, ...] = field(default=(), repr=False)
    """Values of variables whose names say that they are secret."""

    @property
    def redaction(self) -> Redaction:
        """Takes the pod's secrets out of texts."""
        places = (self.secrets_dir, self.api_keys_dir, self.tls_dir / "tls.key", _TOKEN)
        return Redaction(places, self.secret_values)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Reads `APM_*`, `HOST`, `PORT` and `POD_NAME`; with `APM_MANAGED=true` what the operator sets and no more.

        Raises:
            ConfigError: A variable's value is not a number where one is needed, or too small, or it is no known word.
        """
        env = os.environ if environ is None else environ
        secret_values = tuple(value for name, value in env.items() if _SECRET_NAME.search(name))
        if env.get("APM_MANAGED") == "true":
            env = {name: env[name] for name in _OF_THE_OPERATOR if name in env}
        return cls(
            config_file=Path(env.get("APM_CONFIG", str(cls.config_file))),
            secrets_dir=Path(env.get("APM_SECRETS_DIR", str(cls.secrets_dir))),
            api_keys_dir=Path(env.get("APM_API_KEYS_DIR", str(cls.api_keys_dir))),
            tls_dir=Path(env.get("APM_TLS_DIR", str(cls.tls_dir))),
            trust_dir=Path(env.get("APM_TRUST_DIR", str(cls.trust_dir))),
            termination_log=Path(env.get("APM_TERMINATION_LOG", str(cls.termination_log))),
            host=env.get("HOST", cls.host),
            port=int(_number(env, "PORT", cls.port)),
            pod_name=env.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
            log_level=_word(env, "APM_LOG_LEVEL", cls.log_level, ("debug", "info", "warning", "error", "critical")),
            log_format=_word(env, "APM_LOG_FORMAT", cls.log_format, ("json", "text")),
            max_runs=int(_number(env, "APM_MAX_RUNS", 1, least=1)) if "APM_MAX_RUNS" in env else None,
            threads=int(_number(env, "APM_THREADS", cls.threads, least=1)),
            memory_threads=int(_number(env, "APM_MEMORY_THREADS", cls.memory_threads, least=1)),
            memory_bytes=int(_number(env, "APM_MEMORY_BYTES", cls.memory_bytes, least=1)),
            max_body_bytes=int(_number(env, "APM_MAX_BODY_BYTES", cls.max_body_bytes, least=1)),
            follow_limit=_number(env, "APM_FOLLOW_LIMIT_SECONDS", cls.follow_limit, least=1),
            max_requests=int(_number(env, "APM_MAX_REQUESTS", cls.max_requests, least=1)),
            lease_timeout=_number(env, "APM_LEASE_TIMEOUT_SECONDS", cls.lease_timeout, least=1),
            drain_delay=_number(env, "APM_DRAIN_DELAY_SECONDS", cls.drain_delay),
            drain_timeout=_number(env, "APM_DRAIN_TIMEOUT_SECONDS", cls.drain_timeout),
            secret_values=secret_values,
        )


def apply_library_defaults() -> None:
    """Sets what LangGraph and LangSmith read at import, unless the user set it. Call before importing them."""
    for name, value in _LIBRARY_DEFAULTS.items():
        os.environ.setdefault(name, value)


def _word(env: Mapping[str, str], name: str, default: str, known: Sequence[str]) -> str:
    word = env.get(name, default).lower()
    if word not in known:
        raise ConfigError(f"{name} is {env[name]!r}: set it to {', '.join(known[:-1])} or {known[-1]}")
    return word


def _number(env: Mapping[str, str], name: str, default: float, *, least: float = 0) -> float:
    text = env.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < least:
        raise ConfigError(f"{name} is {text!r}: set it to a number from {least:g} on")
    return number
