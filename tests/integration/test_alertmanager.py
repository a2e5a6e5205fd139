"""The chart's configuration in a real Alertmanager: who is told of what, and how it reads."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import debian, gobuild
from cluster.progress import wait_until
from cluster.prometheus import Server, alertmanager
from cluster.settings import REPOSITORY
from deploy.alerts import files
from fakes import slack as fake
from fakes.slack import Slack

CHART = REPOSITORY / "charts" / "apm-operator"
WHOLE = "monitoring.alertmanager.kind=Secret"
QUICK = ("monitoring.alertmanager.groupWait=1s", "monitoring.alertmanager.groupInterval=1s")
GRAFANA = "monitoring.alertmanager.grafanaUrl=https://grafana.example.org"


def config(*values: str) -> str:
    """The configuration as the chart makes it."""
    sets = [argument for value in values for argument in ("--set", value)]
    helm = [gobuild.program("helm"), "template", "apm", CHART, "--show-only=templates/alertmanager.yaml"]
    done = subprocess.run([*helm, *sets], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    text: str = yaml.safe_load(done.stdout)["stringData"]["alertmanager.yaml"]
    return text


@contextmanager
def serving(folder: Path, slack: Slack, *values: str) -> Iterator[Server]:
    """An Alertmanager that tells the fake."""
    (folder / "apm-slack").mkdir()
    (folder / "apm-slack" / "webhook-url").write_text(f"{slack.url}/services/T0/B0/x")
    (folder / "apm-slack" / "bot-token").write_text("xoxb-of-the-test")
    made = config(WHOLE, GRAFANA, *QUICK, f"monitoring.alertmanager.secretsFolder={folder}", *values)
    with alertmanager(folder, made) as server:
        yield server


@pytest.fixture
def slack() -> Iterator[Slack]:
    with fake.running() as receiver:
        yield receiver


def alert(name: str, **labels: str) -> dict[str, Any]:
    """One as Prometheus tells it, without its times."""
    rule = next(each for each in files.alerts() if each.name == name)
    told = rule.rendered()
    return {
        "labels": {"alertname": name, **told["labels"], **labels},
        "annotations": {**told["annotations"], "summary": f"{name} of {labels.get('agent', 'all')}"},
    }


def send(server: Server, *alerts: dict[str, Any], over: bool = False) -> None:
    """Tell the Alertmanager of alerts that fire now, or are over."""
    now = datetime.now(UTC)
    times = {
        "startsAt": (now - timedelta(minutes=5)).isoformat(),
        "endsAt": (now + timedelta(minutes=-1 if over else 5)).isoformat(),
    }
    server.post("/api/v2/alerts", [{**each, **times} for each in alerts])


def inhibited(server: Server) -> set[str]:
    """Names of the alerts that are kept quiet."""
    return {each["labels"]["alertname"] for each in server.get("/api/v2/alerts") if each["status"]["inhibitedBy"]}


@pytest.mark.parametrize("method", ["Webhook", "BotToken"])
def test_amtool_finds_nothing_wrong(tmp_path: Path, method: str):
    file = tmp_path / "alertmanager.yaml"
    file.write_text(config(WHOLE, f"monitoring.alertmanager.slack.method={method}"))
    amtool = debian.program("amtool")
    subprocess.run([amtool, "check-config", file], check=True, timeout=60)
    for severity in ("critical", "warning"):
        routed = ["config", "routes", "test", f"--config.file={file}", f"--verify.receivers=slack-{severity}"]
        subprocess.run([amtool, *routed, "alertname=ApmAgentDown", f"severity={severity}"], check=True, timeout=60)
    others = ["config", "routes", "test", f"--config.file={file}", "--verify.receivers=nobody"]
    subprocess.run([amtool, *others, "alertname=KubeNodeNotReady", "severity=critical"], check=True, timeout=60)


def test_a_message_says_what_is_wrong_and_that_it_is_over(tmp_path: Path, slack: Slack):
    with serving(tmp_path, slack) as server:
        agents = [{"namespace": "shop", "agent": name} for name in ("one", "two")]
        send(server, *(alert("ApmAgentDown", **labels) for labels in agents))
        wait_until("a message", lambda: bool(slack.messages), seconds=60)
        (first,) = slack.messages
        assert first.path == "/services/T0/B0/x"
        assert first.body["channel"] == "#agents-critical"
        shown = first.body["attachments"][0]
        assert first.title == shown["fallback"] == "CRITICAL: ApmAgentDown in shop"
        assert shown["color"] == "danger"
        assert shown["title_link"].endswith("/docs/runbooks/ApmAgentDown.md")
        assert "*ApmAgentDown of one* since 20" in first.text
        assert "*ApmAgentDown of two* since 20" in first.text  # both in one message
        assert "/docs/runbooks/ApmAgentDown.md|Runbook>" in first.text
        assert "<https://grafana.example.org/d/apm-dashboard?var-namespace=shop|Dashboard>" in first.text

        send(server, *(alert("ApmAgentDown", **labels) for labels in agents), over=True)
        wait_until("the end", lambda: bool(slack.titled("RESOLVED: ApmAgentDown in shop")), seconds=60)
        (last,) = slack.titled("RESOLVED")
        assert last.body["attachments"][0]["color"] == "good"
        assert "Over since 20" in last.text


def test_a_bot_brings_its_token_and_warnings_have_a_channel_of_their_own(tmp_path: Path, slack: Slack):
    url = f"monitoring.alertmanager.slack.apiUrl={slack.url}/api/chat.postMessage"
    with serving(tmp_path, slack, "monitoring.alertmanager.slack.method=BotToken", url) as server:
        send(server, alert("ApmAgentDeadLetters", namespace="shop", agent="one"))
        wait_until("a message", lambda: bool(slack.messages), seconds=60)
    (only,) = slack.messages
    assert (only.path, only.authorization) == ("/api/chat.postMessage", "Bearer xoxb-of-the-test")
    assert only.body["channel"] == "#agents"
    assert only.body["attachments"][0]["color"] == "warning"
    assert "var-agent=one|" in only.text


@pytest.mark.parametrize(
    ("cause", "quiet", "told"),
    [
        (
            alert("ApmOperatorDown"),
            [
                alert("ApmOperatorWithoutLeader", namespace="apm-system"),
                alert("ApmOperatorNotReconciling", namespace="apm-system"),
                alert("ApmBackupLate", namespace="shop", policy="nightly"),
                alert("ApmCertificateExpiring", namespace="shop", agent="one"),
            ],
            [alert("ApmRestoreFailed", namespace="shop", restore="back")],
        ),
        (
            alert("ApmAgentDown", namespace="shop", agent="one"),
            [
                alert(name, namespace="shop", agent="one")
                for name in ("ApmAgentCrashLooping", "ApmAgentErrorBudgetBurn", "ApmAgentQueueGrowing")
            ],
            [alert("ApmAgentCrashLooping", namespace="shop", agent="two")],
        ),
        (
            alert("ApmMongoDBUnreachable", namespace="shop"),
            [alert(name, namespace="shop", agent="one") for name in ("ApmMongoDBSlow", "ApmAgentRunsStuck")],
            [alert("ApmMongoDBSlow", namespace="office", agent="one")],
        ),
        (
            alert("ApmBackupLate", namespace="shop", policy="nightly"),
            [alert("ApmBackupUnverified", namespace="shop", policy="nightly")],
            [alert("ApmBackupUnverified", namespace="shop", policy="weekly")],
        ),
    ],
    ids=["operator", "agent", "mongodb", "backup"],
)
def test_one_cause_is_told_once(
    tmp_path: Path, slack: Slack, cause: dict[str, Any], quiet: list[dict[str, Any]], told: list[dict[str, Any]]
):
    with serving(tmp_path, slack) as server:
        send(server, cause)  # it is there when the others come
        wait_until("the cause", lambda: bool(slack.messages), seconds=60)
        send(server, *quiet, *told)
        names = {each["labels"]["alertname"] for each in quiet}
        wait_until("silence", lambda: inhibited(server) == names, seconds=60)
        wanted = {each["labels"]["alertname"] for each in (cause, *told)}
        wait_until("the others", lambda: len(slack.messages) == 1 + len(told), seconds=60)
        assert {each.title.split()[1] for each in slack.messages} == wanted


def test_rules_of_inhibition_name_alerts_that_there_are():
    names = {each.name for each in files.alerts()}
    rules = yaml.safe_load((CHART / "files" / "inhibitions.yaml").read_text())
    severe = {each.name for each in files.alerts() if each.severity == "critical"}
    mixed = {each.name for each in files.alerts() if each.severity == "warning"} & severe
    for rule in rules:
        sources, targets = set(rule["source"].split("|")), set(rule["target"].split("|"))
        assert sources | targets <= names
        assert sources <= severe or not targets & severe - mixed, "a warning keeps a critical alert quiet"
