"""The limits of permissions in Python agree with those that the API server checks in CEL."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from apm_operator.api.permissions import READABLE, SUBRESOURCES, WRITABLE, Permission
from cluster.settings import REPOSITORY

MANIFESTS = REPOSITORY / "tests/integration/manifests/agentdeployment"


def manifests(folder: str) -> list[Path]:
    return sorted((MANIFESTS / folder).glob("permission-*.yaml"))


def entries(manifest: Path) -> list[Any]:
    return yaml.safe_load(manifest.read_text())["spec"]["permissions"]


@pytest.mark.parametrize("manifest", manifests("accepted"), ids=lambda path: path.stem)
def test_takes_what_the_api_server_takes(manifest: Path):
    for entry in entries(manifest):
        Permission.model_validate(entry)


@pytest.mark.parametrize("manifest", manifests("rejected"), ids=lambda path: path.stem)
def test_refuses_what_the_api_server_refuses(manifest: Path):
    with pytest.raises(ValidationError):
        [Permission.model_validate(entry) for entry in entries(manifest)]


def rule(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), "resourceNames": list(names)}


@pytest.mark.parametrize(
    "entry",
    [
        *(rule("", "configmaps", verb) for verb in ("*", "escalate", "bind", "impersonate", "use", "proxy")),
        rule("", "configmaps", "deletecollection"),
        *(rule("", f"pods/{sub}", "create") for sub in ("exec", "attach", "portforward", "proxy", "eviction")),
        rule("", "pods/ephemeralcontainers", "patch", names=("x",)),
        rule("", "serviceaccounts/token", "create"),
        rule("", "services/proxy", "get"),
        rule("", "secrets", "get", names=("a", "*")),
        rule("", "secrets", "list", names=("a",)),
        rule("", "secrets/status", "get", names=("a",)),
        *(rule("", kind, "get") for kind in ("nodes", "persistentvolumes", "namespaces", "componentstatuses")),
        *(rule("", kind, "create") for kind in ("pods", "replicationcontrollers", "serviceaccounts", "services")),
        *(rule("apps", kind, "patch", names=("x",)) for kind in ("deployments", "statefulsets", "deployments/scale")),
        rule("batch", "cronjobs", "create"),
        *(
            rule(group, "anything", "get")
            for group in (
                "rbac.authorization.k8s.io",
                "admissionregistration.k8s.io",
                "certificates.k8s.io",
                "apiextensions.k8s.io",
                "apiregistration.k8s.io",
                "authentication.k8s.io",
                "authorization.openshift.io",
                "extensions",
            )
        ),
        rule("apm.valeo-neuroerp.com", "backups", "create"),
        rule("apm.valeo-neuroerp.com", "agentdeployments/status", "patch", names=("x",)),
        rule("shop.example.com", "orders/proxy", "get"),
        rule("", "configmaps", "get", names=("",)),
        rule("", "configmaps", "get") | {"nonResourceURLs": ["/*"]},
        {"apiGroups": ["", "apps"], "resources": ["secrets", "deployments"], "verbs": ["get"], "resourceNames": ["x"]},
        {"apiGroups": [], "resources": ["configmaps"], "verbs": ["get"]},
    ],
    ids=str,
)
def test_what_gives_more_rights_is_refused(entry: dict[str, Any]):
    with pytest.raises(ValidationError):
        Permission.model_validate(entry)


def test_what_can_be_granted_is_documented():
    page = (REPOSITORY / "docs" / "rbac.md").read_text()
    listed = page.split("which all lie in a namespace:\n")[1].split("\n- ")[0]
    assert re.findall(r"`([^`]+)`", listed) == [key.lstrip("/") for key in READABLE]
    assert ", ".join(f"`{key.lstrip('/')}`" for key in WRITABLE) in page


def test_the_lists_agree():
    assert set(WRITABLE) <= set(READABLE)
    assert {key.split("/")[2] for key in READABLE if key.count("/") == 2} <= set(SUBRESOURCES)
