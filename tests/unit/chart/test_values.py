import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.settings import REPOSITORY

CHART = REPOSITORY / "charts" / "apm-operator"


def test_lint(helm):
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("colour=blue", "additional properties 'colour' not allowed"),
        ("image.name=x", "additional properties 'name' not allowed"),
        ("replicas=-1", "minimum"),
        ("image.digest=sha256:abc", "does not match pattern"),
        ("image.pullPolicy=Sometimes", "value must be one of"),
        ("watchNamespaces={Not_A_Name}", "does not match pattern"),
        ("resyncPeriod=1", "minimum"),
        ("logLevel=loud", "value must be one of"),
    ],
)
def test_the_schema_refuses(template, value, message):
    done = template(value)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize(
    "rule",
    [
        '{"apiGroups":["*"],"resources":["orders"],"verbs":["get"]}',
        '{"apiGroups":[""],"resources":["*"],"verbs":["get"]}',
        '{"apiGroups":[""],"resources":["configmaps"],"verbs":["*"]}',
        '{"apiGroups":[""],"resources":["configmaps"],"verbs":["bind"]}',
        '{"apiGroups":[""],"resources":["configmaps"],"verbs":["get"],"resourceNames":[""]}',
        '{"nonResourceURLs":["/metrics"],"verbs":["get"]}',
    ],
)
def test_the_schema_refuses_grants_of_anything(template, rule):
    done = template(json=f"permissions.grantable=[{rule}]")
    assert done.returncode != 0
    assert "grantable/0" in done.stderr


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("replicas=2", "leaderElection=false"), "needs leaderElection: true"),
        (("watchNamespaces={a}", "secrets.namespaces={b}"), "remove them, since watchNamespaces is set"),
        (("watchNamespaces={a}", "secrets.allNamespaces=true"), "remove them, since watchNamespaces is set"),
        (("watchNamespaces={a}", "tests.namespace=b"), "tests.namespace must be one of watchNamespaces"),
    ],
)
def test_values_that_contradict_each_other_are_refused(template, values, message):
    done = template(*values)
    assert done.returncode != 0
    assert message in done.stderr


def test_every_object_of_the_schema_is_closed_or_free_on_purpose():
    schema = json.loads((CHART / "values.schema.json").read_text())
    free = {"global", "affinity"}
    assert set(_open_objects(schema, "")) == free


def test_the_schema_knows_exactly_the_values():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)


def _open_objects(schema: dict[str, Any], path: str) -> Iterator[str]:
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from _open_objects(child, f"{path}.{name}".lstrip("."))
