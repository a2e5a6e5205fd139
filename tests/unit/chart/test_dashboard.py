"""The Grafana dashboard in the chart."""

import json
import re

from deploy.dashboard.build import text


def test_the_sidecar_of_grafana_finds_it(render):
    (found,) = [each for each in render() if each["metadata"]["name"] == "apm-operator-dashboard"]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["apm-dashboard.json"]) == json.loads(text())


def test_it_can_be_left_out(render):
    assert not [each for each in render("monitoring.dashboard.enabled=false") if each["kind"] == "ConfigMap"]


def test_links_of_messages_set_variables_that_it_has(render):
    (config,) = [each for each in render("monitoring.alertmanager.kind=Secret") if each["kind"] == "Secret"]
    linked = set(re.findall(r"var-(\w+)=", config["stringData"]["alertmanager.yaml"]))
    assert linked == {"namespace", "agent"}
    variables = json.loads(text())["templating"]["list"]
    assert linked <= {each["name"] for each in variables}
