"""A Kubernetes API in memory: what the operator's unit tests drive a pass with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from apm_operator.errors import ApiError, Conflict, NotFound
from apm_operator.kinds import AGENTS, DEPLOYMENTS, FIELD_MANAGER, JOBS, SCALED_OBJECTS, Resource


@dataclass
class FakeKube:
    """Keeps objects and counts calls; `fail` holds errors for the next calls of a verb and kind.

    `applied` is what was applied, each with its field manager.
    """

    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    fail: dict[tuple[str, str], list[ApiError]] = field(default_factory=dict)
    version: int = 100
    cert_manager: bool = False
    keda: bool = False
    applied: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def _called(self, verb: str, resource: Resource) -> None:
        self.calls[verb, resource.kind] += 1
        if errors := self.fail.get((verb, resource.kind)):
            raise errors.pop(0)

    def _stored(self, at: tuple[str, str, str], body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        before = self.objects.get(at)
        body["metadata"] = body["metadata"] | {
            "uid": before["metadata"]["uid"] if before else f"uid-{at[0]}-{self.version}",
            "resourceVersion": str(self.version),
            "generation": before["metadata"]["generation"] if before else 1,
        }
        self.objects[at] = body
        return json.loads(json.dumps(body))

    def writes(self) -> dict[tuple[str, str], int]:
        """The calls so far that change something."""
        return {at: number for at, number in self.calls.items() if at[0] not in ("get", "list", "discover")}

    async def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        manifest: bytes,
        *,
        force: bool = True,
        manager: str = FIELD_MANAGER,
    ) -> dict[str, Any]:
        self._called("apply", resource)
        at = (resource.kind, namespace, name)
        if not force and at in self.objects:
            raise Conflict("conflict with another manager", status=409)
        body, before = json.loads(manifest), self.objects.get(at)
        self.applied.append((manager, json.loads(manifest)))
        if before and body.keys() <= {"apiVersion", "kind", "metadata"}:
            body = before | {"metadata": before["metadata"] | body["metadata"]}
        elif before and (resource is JOBS or manager != FIELD_MANAGER):
            body = before | {"spec": before["spec"] | body["spec"]}
        if resource is DEPLOYMENTS:
            body["spec"].setdefault("replicas", before["spec"]["replicas"] if before else 1)
        return self._stored(at, body)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        self._called("patch-status", resource)
        at = (resource.kind, namespace, name)
        body = self.objects.get(at)
        if body is None:
            raise NotFound("gone", status=404)
        merged = (body.get("status") or {}) | status
        body["status"] = {name: value for name, value in merged.items() if value is not None}
        uid = body["metadata"]["uid"]
        self._stored(at, body)["metadata"]["uid"] = uid
        return json.loads(json.dumps(body))

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any], *, gated: bool = True) -> Any:  # noqa: ARG002
        self._called("create", resource)
        at = (resource.kind, namespace, body["metadata"]["name"])
        if at in self.objects:
            raise Conflict("exists", status=409)
        return self._stored(at, dict(body))

    async def replace(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: dict[str, Any],
        *,
        gated: bool = True,  # noqa: ARG002
    ) -> Any:
        self._called("update", resource)
        at = (resource.kind, namespace, name)
        if body["metadata"]["resourceVersion"] != self.objects[at]["metadata"]["resourceVersion"]:
            raise Conflict("newer", status=409)
        return self._stored(at, body)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        *,
        children_first: bool = False,
    ) -> None:
        self._called("delete", resource)
        at = (resource.kind, namespace, name)
        if at not in self.objects:
            raise NotFound("gone", status=404)
        if self.objects[at]["metadata"]["uid"] != uid:
            raise Conflict("another object", status=409)
        if children_first or self.objects[at]["metadata"].get("finalizers"):
            self.objects[at]["metadata"]["deletionTimestamp"] = "2026-05-01T13:00:00Z"
            return
        del self.objects[at]

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self._called("get", resource)
        try:
            return json.loads(json.dumps(self.objects[resource.kind, namespace, name]))
        except KeyError:
            raise NotFound(f"{resource.kind} {name}", status=404) from None

    async def pages(
        self, resource: Resource, namespace: str, selector: str = ""
    ) -> AsyncIterator[list[dict[str, Any]]]:
        self._called("list", resource)
        label, _, value = selector.partition("=")
        yield [
            json.loads(json.dumps(body))
            for (kind, place, _), body in self.objects.items()
            if (kind, place) == (resource.kind, namespace)
            and (not selector or body["metadata"]["labels"].get(label) == value)
        ]

    async def served(self, resource: Resource) -> bool:
        self._called("discover", resource)
        return self.keda if resource is SCALED_OBJECTS else self.cert_manager

    def kinds(self) -> Counter[str]:
        """How many objects of each kind there are, apart from agents."""
        return Counter(kind for kind, _, _ in self.objects if kind != AGENTS.kind)
