"""The chart beside Prometheus' operator, whose definitions a real API server serves."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster import gobuild
from cluster.controlplane import ControlPlane
from cluster.errors import ClusterError
from cluster.instances import control_plane as start_control_plane
from cluster.progress import wait_until
from deploy.alerts import files
from integration.test_chart_install import CHART, helm_on

GROUP = "monitoring.coreos.com"
MODULE = "github.com/prometheus-operator/prometheus-operator"
HOME = "--namespace=apm-system"
STRICTLY = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
ALERTING = (
    "monitoring.prometheusRules=Always",
    "monitoring.alertmanager.kind=AlertmanagerConfig",
    "monitoring.alertmanager.namespace=monitoring",
    "monitoring.alertmanager.grafanaUrl=https://grafana.example.org",
)

Item = dict[str, Any]


def serve(plane: ControlPlane, *kinds: str) -> None:
    """Have the API server know kinds of Prometheus' operator."""
    folder = gobuild.module_directory("prometheus-operator", MODULE) / "example" / "prometheus-operator-crd"
    for kind in kinds:
        plane.kubectl("apply", "--server-side", f"--filename={folder / f'{GROUP}_{kind}.yaml'}")
    wait_until(
        f"serving {', '.join(kinds)}",
        lambda: set(kinds) <= set(plane.kubectl("api-resources", f"--api-group={GROUP}").split()),
        seconds=30,
    )


def listed(plane: ControlPlane, kind: str) -> list[str]:
    """Where there is one: namespace and name."""
    found = json.loads(plane.kubectl("get", kind, "--all-namespaces", "--output=json"))["items"]
    return sorted(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in found)


def made(plane: ControlPlane, *values: str) -> list[Item]:
    """What the chart makes of kinds of Prometheus' operator."""
    sets = [f"--set={value}" for value in values]
    rendered = yaml.safe_load_all(helm_on(plane)("template", "apm", str(CHART), HOME, *sets))
    return [item for item in rendered if item and item["apiVersion"].startswith(f"{GROUP}/")]


def apply(plane: ControlPlane, *items: Item) -> None:
    """Have the API server look at them, down to fields that it does not know."""
    plane.kubectl("apply", *STRICTLY, "--filename=-", stdin=yaml.safe_dump_all(items))


def test_podmonitors_are_made_where_the_cluster_has_them_and_go_with_the_chart():
    with start_control_plane() as plane:
        helm = helm_on(plane)
        helm("install", "apm", str(CHART), HOME, "--create-namespace")
        serve(plane, "podmonitors")
        helm("upgrade", "apm", str(CHART), HOME)
        assert listed(plane, "podmonitors") == ["apm-system/apm-operator", "apm-system/apm-operator-agents"]
        apply(plane, *made(plane, "monitoring.podMonitors=Always"))
        helm("uninstall", "apm", HOME)
        assert listed(plane, "podmonitors") == []


@pytest.fixture(scope="module")
def alerting() -> Iterator[ControlPlane]:
    """A cluster that knows rules and configurations of Alertmanager, with the namespaces that they go to."""
    with start_control_plane() as plane:
        serve(plane, "prometheusrules", "alertmanagerconfigs")
        for namespace in ("apm-system", "monitoring"):
            plane.kubectl("create", "namespace", namespace)
        yield plane


def test_rules_and_routes_come_and_go_with_the_chart(alerting: ControlPlane):
    helm = helm_on(alerting)
    helm("install", "apm", str(CHART), HOME, *(f"--set={value}" for value in ALERTING if "Always" not in value))
    assert listed(alerting, "prometheusrules") == ["apm-system/apm-operator"]
    assert listed(alerting, "alertmanagerconfigs") == ["monitoring/apm-operator"]
    rule = json.loads(alerting.kubectl("get", "prometheusrule/apm-operator", HOME, "--output=json"))
    assert rule["spec"] == {"groups": [group.rendered() for group in files.groups()]}, "nothing is lost on the way"
    helm("uninstall", "apm", HOME)
    assert listed(alerting, "prometheusrules") == listed(alerting, "alertmanagerconfigs") == []


@pytest.mark.parametrize("method", ["Webhook", "BotToken"])
def test_the_api_server_takes_them_and_knows_each_field(alerting: ControlPlane, method: str):
    items = made(alerting, *ALERTING, f"monitoring.alertmanager.slack.method={method}")
    assert sorted(item["kind"] for item in items) == ["AlertmanagerConfig", "PrometheusRule"]
    apply(alerting, *items)


@pytest.mark.parametrize(
    ("kind", "at", "value"),
    [
        ("AlertmanagerConfig", ("route", "groupWait"), "soon"),
        ("AlertmanagerConfig", ("route", "matchers", 0, "matchType"), "~"),
        ("AlertmanagerConfig", ("inhibitRules", 0, "equals"), ["namespace"]),
        ("AlertmanagerConfig", ("receivers", 0, "slackConfigs", 0, "apiURL"), "https://hooks.example.org"),
        ("PrometheusRule", ("groups", 0, "rules", 0, "for"), "soon"),
        ("PrometheusRule", ("groups", 0, "rules", 0, "labels", "severity"), 1),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_it_refuses_what_is_wrong(alerting: ControlPlane, kind: str, at: tuple[str | int, ...], value: object):
    (item,) = [each for each in made(alerting, *ALERTING) if each["kind"] == kind]
    *path, last = at
    place = item["spec"]
    for step in path:
        place = place[step]
    place[last] = value
    with pytest.raises(ClusterError, match=rf"[.]{last}\b"):
        apply(alerting, item)
