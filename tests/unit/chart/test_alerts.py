"""The alerts as the chart brings them."""

import subprocess

import pytest
import yaml

from cluster import debian
from deploy.alerts import files

RULES = "monitoring.prometheusRules=Always"


def rule(items):
    (found,) = [item for item in items if item["kind"] == "PrometheusRule"]
    return found


def alerts(found):
    return [each for group in found["spec"]["groups"] for each in group["rules"] if "alert" in each]


def test_the_rules_are_those_of_the_plain_file(render, tmp_path):
    found = rule(render(RULES))
    assert found["spec"] == {"groups": [group.rendered() for group in files.groups()]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(found["spec"]))
    subprocess.run([debian.program("promtool"), "check", "rules", tmp_path / "rules.yaml"], check=True, timeout=60)


@pytest.mark.parametrize("value", ["Auto", "Never"])
def test_where_the_kind_is_not_known_there_are_none(render, value):
    assert "PrometheusRule" not in {item["kind"] for item in render(f"monitoring.prometheusRules={value}")}


def test_where_it_is_known_there_are(helm):
    chart = ["apm", str(files.ROOT / "charts/apm-operator"), "--show-only=templates/prometheusrule.yaml"]
    done = helm("template", *chart, "--api-versions=monitoring.coreos.com/v1/PrometheusRule")
    assert done.returncode == 0, done.stderr
    assert alerts(yaml.safe_load(done.stdout))


def test_alerts_are_left_out_and_labels_and_runbooks_are_the_users(render):
    found = rule(
        render(
            RULES,
            "monitoring.disabledAlerts={ApmAgentLatencyBudgetBurn,ApmMongoDBFull}",
            "monitoring.labels.release=kube-prometheus-stack",
            "monitoring.runbooks=https://wiki.example.org/apm/",
        )
    )
    assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    every = {alert.name for alert in files.alerts()}
    assert {each["alert"] for each in alerts(found)} == every - {"ApmAgentLatencyBudgetBurn", "ApmMongoDBFull"}
    for each in alerts(found):
        assert each["annotations"]["runbook_url"] == f"https://wiki.example.org/apm/{each['alert']}.md"


def test_by_default_alertmanager_is_left_alone(render):
    assert not {item["metadata"]["name"] for item in render()} & {"apm-operator-alertmanager", "apm-operator-slack-api"}


@pytest.mark.parametrize("method", ["Webhook", "BotToken"])
def test_prometheus_operator_gets_the_same_routes_and_silences(render, method):
    slack = f"monitoring.alertmanager.slack.method={method}"
    items = render(
        "monitoring.alertmanager.kind=AlertmanagerConfig", slack, "monitoring.alertmanager.namespace=monitoring"
    )
    (made,) = [item for item in items if item["kind"] == "AlertmanagerConfig"]
    (secret,) = [item for item in render("monitoring.alertmanager.kind=Secret", slack) if item["kind"] == "Secret"]
    plain = yaml.safe_load(secret["stringData"]["alertmanager.yaml"])
    assert made["metadata"]["namespace"] == "monitoring"
    assert made["spec"]["route"]["groupBy"] == plain["route"]["routes"][0]["group_by"]
    assert len(made["spec"]["inhibitRules"]) == len(plain["inhibit_rules"])
    mine = {each["name"]: each["slackConfigs"][0] for each in made["spec"]["receivers"]}
    theirs = {each["name"]: each["slack_configs"][0] for each in plain["receivers"] if each["name"] != "nobody"}
    for name, each in mine.items():
        assert (each["channel"], each["text"], each["sendResolved"]) == (
            theirs[name]["channel"],
            theirs[name]["text"],
            theirs[name]["send_resolved"],
        )
        assert each["apiURL"] == (
            {"name": "apm-slack", "key": "webhook-url"}
            if method == "Webhook"
            else {"name": "apm-operator-slack-api", "key": "url"}
        )
    (address,) = [item for item in items if item["metadata"]["name"] == "apm-operator-slack-api"] or [None]
    assert (address is not None) == (method == "BotToken")


@pytest.mark.parametrize("value", ["kind=Pigeon", "slack.method=Password", "groupWait=soon", "secretsFolder=here"])
def test_the_schema_refuses_what_alertmanager_could_not_use(template, value):
    assert template(f"monitoring.alertmanager.{value}").returncode != 0
