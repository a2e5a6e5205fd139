"""Leases of Kubernetes by plain HTTP, with the ServiceAccount's token as it is at the time."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from apm_operator.backup.errors import ConfigError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVER = "https://kubernetes.default.svc"


class Unanswered(Exception):
    """The API server could not be asked, or could not answer; the next time may do."""


class Conflict(Exception):
    """Somebody else has written in between."""


class NotThere(Exception):
    """There is no such Lease."""


@dataclass(frozen=True, slots=True)
class Token(httpx.Auth):
    """The kubelet renews the file: it is read for each request."""

    file: Path

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add what the file says now."""
        try:
            token = self.file.read_text(encoding="ascii").strip()
        except OSError:
            raise ConfigError("there is no ServiceAccount token in this pod, and without it no Lease") from None
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


class Api:
    """The Leases of one namespace."""

    def __init__(self, namespace: str, *, account: Path = ACCOUNT, server: str = SERVER, timeout: float = 5.0) -> None:
        """Raises ConfigError where the pod has no authority to know the API server by."""
        try:
            context = ssl.create_default_context(cafile=str(account / "ca.crt"))
        except OSError:
            raise ConfigError("there is no ServiceAccount in this pod, and without it no Lease") from None
        url = f"{server}/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/"
        self._client = httpx.Client(
            base_url=url, verify=context, auth=Token(account / "token"), timeout=timeout, trust_env=False
        )

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def get(self, name: str) -> dict[str, Any]:
        """The Lease as it is."""
        return self._ask("GET", name)

    def put(self, name: str, lease: dict[str, Any]) -> dict[str, Any]:
        """Write it, unless somebody has in between (`metadata.resourceVersion`).

        Raises:
            Conflict: somebody has.
        """
        return self._ask("PUT", name, lease)

    def _ask(self, method: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._client.request(method, name, json=body)
        except httpx.HTTPError as error:
            raise Unanswered(type(error).__name__) from None
        match answer.status_code:
            case HTTPStatus.OK:
                return dict(answer.json())
            case HTTPStatus.CONFLICT:
                raise Conflict
            case HTTPStatus.NOT_FOUND:
                raise NotThere
            case HTTPStatus.FORBIDDEN:
                raise ConfigError(f"the Job's ServiceAccount may not {method} Lease {name}: its Role lacks it")
        raise Unanswered(f"status {answer.status_code}")
