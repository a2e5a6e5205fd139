"""The operator reads Secrets and tells nothing of them: marked values, well formed and not, and all that it writes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from integration.operators import Operator, agent, eventually, operator
from integration.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

PASSWORD = "marked-pass/word-1"  # noqa: S105 - a mark
MARKS = [PASSWORD, *(f"marked-{place}" for place in ("key-2", "token-3", "variable-4", "caller-5", "image-6", "old-7"))]
URIS = {
    "good": f"mongodb://me:{quote(PASSWORD, safe='')}@mongodb:27017/?authSource=admin",
    "raw": f"mongodb://me:{PASSWORD}@mongodb:27017/",
    "port": f"mongodb://me:{quote(PASSWORD, safe='')}@mongodb:{PASSWORD}/",
    "srv": f"mongodb+srv://me:{quote(PASSWORD, safe='')}@cluster.example/",
    "alone": PASSWORD,
}


def secret(name: str, values: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def told_by(mark: str) -> set[str]:
    """What would give a value away: itself, encoded, or digests without salt."""
    raw = mark.encode()
    digests = {hashlib.new(name, raw).hexdigest() for name in ("md5", "sha1", "sha256")}
    return {mark, quote(mark, safe=""), base64.b64encode(raw).decode(), *digests}


class SecretSpace(Shop):
    """With what these tests ask of it."""

    def objects(self) -> Iterator[tuple[str, str]]:
        """All objects but the Secrets."""
        for kind in self.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split():
            if kind != "secrets":
                yield kind, self.kubectl("get", kind, "--output=json", "--show-managed-fields")


@pytest.fixture
def shop(control_plane: ControlPlane, namespace: str) -> SecretSpace:
    shop = SecretSpace(control_plane, namespace)
    shop.apply(
        secret("llm", {"key": "marked-key-2"}),
        secret("crm", {"token": "marked-token-3"}),
        secret("more", {"CRM_TOKEN": "marked-variable-4"}),
        secret("apm-callers", {"desk": "marked-caller-5"}),
        secret("registry", {".dockerconfigjson": '{"auths": {"x": {"auth": "marked-image-6"}}}'}),
        *(secret(f"db-{name}", {"uri": uri}) for name, uri in URIS.items()),
        *(agent(name, namespace, **spec(f"db-{name}")) for name in URIS),
        agent("lacking", namespace, **spec("db-good", key="no-such-key")),
    )
    return shop


def spec(database: str, key: str = "key") -> dict[str, Any]:
    """An agent with a Secret in every field that takes one."""
    model = {
        "name": "default",
        "model": "m",
        "baseURL": "http://llm/v1",
        "apiKeySecretRef": {"name": "llm", "key": key},
    }
    tool = {"name": "crm", "http": {"url": "http://crm/x", "bearerTokenSecretRef": {"name": "crm", "key": "token"}}}
    node = {"name": "answer", "uses": "model", "with": {"tools": ["crm"]}}
    return {
        "models": [model],
        "workflow": {"start": "answer", "nodes": [node], "tools": [tool]},
        "state": {"mongodb": {"uriSecretRef": {"name": database, "key": "uri"}}},
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}}],
        "envFrom": [{"secretRef": {"name": "more"}}],
        "imagePullSecrets": [{"name": "registry"}],
        "auth": {"apiKeys": {"secretRef": {"name": "apm-callers"}}},
    }


def settled(shop: SecretSpace, started: Operator) -> None:
    """Wait until every agent was looked at."""

    def looked_at() -> bool:
        items = json.loads(shop.kubectl("get", "agents", "--output=json"))["items"]
        return all(item.get("status", {}).get("conditions") for item in items)

    eventually("all agents have a status", looked_at)
    started.idle()


def annotations(shop: SecretSpace) -> str:
    """Those of the pods of the agent `good`, by which they are rolled."""
    return shop.kubectl("get", "deployment", "good", "--output=jsonpath={.spec.template.metadata.annotations}")


def test_nothing_of_a_secret_is_told(shop: SecretSpace, tmp_path: Path):
    with operator(shop.plane.kubeconfig, shop.namespace, tmp_path / "log", APM_LOG_LEVEL="DEBUG") as started:
        settled(shop, started)
        before = annotations(shop)
        shop.apply(secret("more", {"CRM_TOKEN": "marked-old-7"}))
        eventually("the pods are rolled", lambda: annotations(shop) != before)
        settled(shop, started)
        metrics = httpx.get(f"{started.url}/metrics").text
        for path in ("/readyz", "/livez", "/nothing"):
            metrics += httpx.get(started.url + path).text
    told = {**dict(shop.objects()), "metrics": metrics, "log": (tmp_path / "log").read_text()}
    assert "SecretMissing" in told["agentdeployments.apm.valeo-neuroerp.com"]
    assert "marked" not in "".join(told.values()), "no mark, and no part of one"
    forms = {form for mark in MARKS for form in told_by(mark)}
    assert [(place, form) for place, text in told.items() for form in forms if form in text] == []
