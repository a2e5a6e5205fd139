"""The operator's settings: the only place of this package that reads the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from apm_operator import network
from apm_operator.errors import SettingsError
from apm_operator.network import ClusterNetwork
from apm_operator.prometheus import Source

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_LOG_FORMATS = ("json", "text")
_GRANT = (
    "kubectl -n NAMESPACE create rolebinding apm-operator-secrets --clusterrole=apm-operator-secrets "
    "--serviceaccount=apm-system:apm-operator"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set from outside.

    Attributes:
        watch_namespaces: namespaces that are served; empty means all of the cluster.
        runtime_image: image of agents that bring none of their own.
        backup_image: image of the Jobs of backups and restores that bring none of their own.
        image: the operator's own image, which makes the reports that bring none of their own.
        operator_namespace: where the lease lies.
        name: of the installation: that of its lease and its Service, and the beginning of its Secrets' names. Several
            in one namespace have several.
        grantable: JSON list of what agents may be granted in the Kubernetes API.
        identity: this process's name in the lease and in Events.
        resync_seconds: how often every agent is looked at although nothing has changed.
        secret_poll_seconds: how often the Secrets and Services that agents refer to are read.
        concurrency: agents that are worked on at the same time.
        network: what the operator is told about the cluster's network.
        https_port: where agents ask about tokens.
        authority_seconds: life of the operator's certificate authority; the next one is made after two thirds.
        overlap_seconds: how long everybody knows the next authority before it signs.
        secrets_grant: command by which an administrator lets the operator use Secrets in NAMESPACE.
        prometheus: where the numbers of agents are looked at for anomalies; nowhere where it has no URL.
        anomalies_seconds: how often.
        kubeconfig: files of `KUBECONFIG`; empty means the pod's own service account.
    """

    watch_namespaces: tuple[str, ...] = ()
    runtime_image: str = "ghcr.io/valeo-neuroerp/apm-agent-runtime:0.1.0"
    runtime_image_pull_policy: str = "IfNotPresent"
    backup_image: str = "ghcr.io/valeo-neuroerp/apm-backup:0.1.0"
    backup_image_pull_policy: str = "IfNotPresent"
    image: str = "ghcr.io/valeo-neuroerp/apm-operator:0.1.0"
    image_pull_policy: str = "IfNotPresent"
    operator_namespace: str = "apm-system"
    name: str = "apm-operator"
    identity: str = "apm-operator"
    grantable: str = "[]"
    leader_election: bool = True
    resync_seconds: float = 600.0
    secret_poll_seconds: float = 15.0
    concurrency: int = 16
    http_host: str = "0.0.0.0"  # noqa: S104  the kubelet probes the pod's address
    http_port: int = 8080
    https_port: int = 8443
    authority_seconds: float = 5 * 365 * 86_400.0
    overlap_seconds: float = 86_400.0
    secrets_grant: str = _GRANT
    log_level: str = "INFO"
    log_format: str = "json"
    network: ClusterNetwork = field(default_factory=ClusterNetwork)
    prometheus: Source = field(default_factory=Source)
    anomalies_seconds: float = 60.0
    kubeconfig: str = ""


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a value is outside of what it may be.
    """
    env = os.environ if environ is None else environ
    authority = _number(env, "APM_AUTHORITY_SECONDS", 5 * 365 * 86_400.0, least=60.0)
    return Settings(
        watch_namespaces=tuple(
            sorted({name.strip() for name in env.get("APM_WATCH_NAMESPACES", "").split(",") if name.strip()})
        ),
        runtime_image=env.get("APM_RUNTIME_IMAGE") or f"ghcr.io/valeo-neuroerp/apm-agent-runtime:{_own_version()}",
        runtime_image_pull_policy=_choice(env, "APM_RUNTIME_IMAGE_PULL_POLICY", "IfNotPresent", _PULL_POLICIES),
        backup_image=env.get("APM_BACKUP_IMAGE") or f"ghcr.io/valeo-neuroerp/apm-backup:{_own_version()}",
        backup_image_pull_policy=_choice(env, "APM_BACKUP_IMAGE_PULL_POLICY", "IfNotPresent", _PULL_POLICIES),
        image=env.get("APM_IMAGE") or f"ghcr.io/valeo-neuroerp/apm-operator:{_own_version()}",
        image_pull_policy=_choice(env, "APM_IMAGE_PULL_POLICY", "IfNotPresent", _PULL_POLICIES),
        operator_namespace=env.get("APM_OPERATOR_NAMESPACE") or _own_namespace(),
        name=env.get("APM_NAME") or "apm-operator",
        grantable=env.get("APM_GRANTABLE") or "[]",
        identity=env.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        leader_election=_choice(env, "APM_LEADER_ELECTION", "true", ("true", "false")) == "true",
        resync_seconds=_number(env, "APM_RESYNC_SECONDS", 600.0, least=1.0),
        secret_poll_seconds=_number(env, "APM_SECRET_POLL_SECONDS", 15.0, least=0.1),
        concurrency=int(_number(env, "APM_CONCURRENCY", 16, least=1)),
        http_host=env.get("APM_HTTP_HOST", "0.0.0.0"),  # noqa: S104
        http_port=int(_number(env, "APM_HTTP_PORT", 8080, least=0)),
        https_port=int(_number(env, "APM_HTTPS_PORT", 8443, least=0)),
        authority_seconds=authority,
        overlap_seconds=_number(env, "APM_AUTHORITY_OVERLAP_SECONDS", authority / 60, least=1.0),
        secrets_grant=env.get("APM_SECRETS_GRANT") or _GRANT,
        log_level=_choice(env, "APM_LOG_LEVEL", "INFO", _LOG_LEVELS, upper=True),
        log_format=_choice(env, "APM_LOG_FORMAT", "json", _LOG_FORMATS),
        network=network.read(env.get("APM_NETWORK", "")),
        prometheus=_prometheus(env),
        anomalies_seconds=_number(env, "APM_ANOMALIES_SECONDS", 60.0, least=1.0),
        kubeconfig=env.get("KUBECONFIG", ""),
    )


def _prometheus(env: Mapping[str, str]) -> Source:
    url = env.get("APM_PROMETHEUS_URL", "")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise SettingsError(f"APM_PROMETHEUS_URL={url!r}: set it to an http:// or https:// URL")
    return Source(url, env.get("APM_PROMETHEUS_TOKEN_FILE", ""), env.get("APM_PROMETHEUS_CA_FILE", ""))


def _choice(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...], *, upper: bool = False) -> str:
    value = env.get(name) or default
    value = value.upper() if upper else value
    if value not in choices:
        raise SettingsError(f"{name}={value!r}: set it to one of {', '.join(choices)}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r}: set it to a number") from None
    if not value >= least:
        raise SettingsError(f"{name}={text!r}: set it to {least:g} or more")
    return value


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError:
        return "apm-system"


def _own_version() -> str:
    try:
        return version("apm-operator")
    except PackageNotFoundError:
        return "0.1.0"
