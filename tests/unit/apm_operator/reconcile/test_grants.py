import json
from typing import Any

import pytest

from apm_operator.api.permissions import Permission
from apm_operator.errors import SettingsError
from apm_operator.reconcile.grants import beyond, read, told


def rule(resource: str = "configmaps", *verbs: str, group: str = "", names: tuple[str, ...] = ()) -> Permission:
    return Permission(api_groups=(group,), resources=(resource,), verbs=verbs or ("get",), resource_names=names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "grantable"),
    [
        (rule(), [rule()]),
        (rule(names=("menu",)), [rule()]),
        (rule(names=("menu",)), [rule(names=("menu", "hours"))]),
        (rule(names=("menu", "hours")), [rule(names=("menu",)), rule(names=("hours",))]),
        (rule("configmaps", "get", "list"), [rule("configmaps", "get"), rule("configmaps", "list")]),
        (rule("orders", group="a.example"), [rule(), rule("orders", "get", "list", group="a.example")]),
    ],
)
def test_what_is_listed_is_granted(asked: Permission, grantable: list[Permission]):
    assert beyond([asked], grantable) == ()


@pytest.mark.parametrize(
    ("asked", "grantable"),
    [
        (rule(), []),
        (rule("pods"), [rule()]),
        (rule("pods/log"), [rule("pods")]),
        (rule("pods"), [rule("pods/log")]),
        (rule("configmaps", "get", "list"), [rule()]),
        (rule(), [rule(names=("menu",))]),
        (rule(names=("menu", "other")), [rule(names=("menu",))]),
        (rule("orders", group="a.example"), [rule("orders", group="b.example")]),
        # A verb of one entry and a name of another are not to be put together.
        (
            rule("configmaps", "get", "list", names=("menu",)),
            [rule("configmaps", "get", names=("menu",)), rule("configmaps", "list", names=("hours",))],
        ),
    ],
)
def test_what_is_not_listed_is_refused(asked: Permission, grantable: list[Permission]):
    assert beyond([asked], grantable) == (asked,)


def test_what_is_refused_is_told_as_the_chart_takes_it():
    text = told((rule("pods", "list"),))
    assert '[{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]' in text
    assert "permissions.grantable" in text
    assert told(()) == ""


def test_reads_the_setting():
    entry: dict[str, Any] = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    assert read(json.dumps([entry])) == (rule(),)
    assert read("[]") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ('[{"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}]', r"APM_GRANTABLE\[0\].*`\*` is refused"),
        ('[{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]', "`secrets` can be granted only with"),
    ],
)
def test_a_list_that_allows_too_much_is_refused(text: str, message: str):
    with pytest.raises(SettingsError, match=message):
        read(text)
