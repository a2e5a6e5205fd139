"""What the pods of agents, of their activators and of Jobs have in common. They pass Pod Security `restricted`."""

from __future__ import annotations

from typing import Any

_USER_ID = 65532


def pod_security(**more: Any) -> dict[str, Any]:
    """`securityContext` of a pod, with `more` fields of the Kubernetes API."""
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER_ID,
        "runAsGroup": _USER_ID,
        "fsGroup": _USER_ID,
        **more,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """`securityContext` of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def probe(
    path: str, port: str, *, period: int, failures: int, timeout: int = 1, scheme: str = "HTTP"
) -> dict[str, Any]:
    """A probe of a named port; times in seconds."""
    return {
        "httpGet": {"path": path, "port": port, "scheme": scheme},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
    }


def from_field(name: str, path: str) -> dict[str, Any]:
    """A variable that has a field of the pod's."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def wire(value: Any) -> Any:
    """A part of the spec as Kubernetes writes it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, tuple | list):
        return [wire(item) for item in value]
    if isinstance(value, dict):
        return {key: wire(item) for key, item in value.items()}
    return value


def present(**fields: Any) -> dict[str, Any]:
    """The fields that say something: the API server drops empty ones, and so do comparisons."""
    return {name: value for name, value in fields.items() if value}
