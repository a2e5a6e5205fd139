"""Prometheus and Alertmanager beside the cluster, which scrape it by the configuration of docs and chart."""

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster import gobuild
from cluster.installation import OPERATOR_NAMESPACE, Installation
from cluster.prometheus import Server, alertmanager, prometheus
from cluster.settings import REPOSITORY
from e2e.support.manifests import AGENT_LABEL
from fakes import slack as fake
from fakes.slack import Slack

_OPERATOR = "app.kubernetes.io/component=operator"


@dataclass(frozen=True)
class Monitoring:
    """What watches the cluster, and whom it tells."""

    prometheus: Server
    alertmanager: Server
    slack: Slack


@contextmanager
def watching(folder: Path, cluster: Installation, namespace: str, every: int = 15) -> Iterator[Monitoring]:
    """Watch the operator and the agents of a namespace, every so many seconds."""
    places = {name: folder / name for name in ("prometheus", "alertmanager", "secrets/apm-slack", "tls")}
    for place in places.values():
        place.mkdir(parents=True)
    _write_certificate(places["tls"], cluster)
    with fake.running() as slack:
        (places["secrets/apm-slack"] / "webhook-url").write_text(f"{slack.url}/services/T0/B0/x")
        with (
            alertmanager(places["alertmanager"], _alertmanager(folder / "secrets")) as manager,
            prometheus(places["prometheus"], _prometheus(places["tls"], cluster, namespace, manager, every)) as server,
        ):
            yield Monitoring(server, manager, slack)


def _write_certificate(folder: Path, cluster: Installation) -> None:
    """By which agents let the scraper in."""
    query = ("get", "secret", "apm-scraper-tls", f"--namespace={OPERATOR_NAMESPACE}", "--output=json")
    for name, value in json.loads(cluster.kubectl(*query))["data"].items():
        (folder / name).write_bytes(base64.b64decode(value))


def _alertmanager(secrets: Path) -> str:
    """As the chart makes it, with its own times."""
    sets = f"monitoring.alertmanager.kind=Secret,monitoring.alertmanager.secretsFolder={secrets}"
    helm = [gobuild.program("helm"), "template", "apm", REPOSITORY / "charts" / "apm-operator", "--set", sets]
    made = subprocess.run(
        [*helm, "--show-only=templates/alertmanager.yaml"], capture_output=True, check=True, timeout=60
    )
    text: str = yaml.safe_load(made.stdout)["stringData"]["alertmanager.yaml"]
    return text


def _prometheus(tls: Path, cluster: Installation, namespace: str, manager: Server, every: int) -> str:
    """Targets as the chart's PodMonitors name them, but once: Debian's Prometheus can't ask Kubernetes for them."""
    operator = {
        "job_name": "apm-operator",
        "honor_labels": True,
        "static_configs": _pods(cluster, OPERATOR_NAMESPACE, _OPERATOR, "http"),
    }
    agents = {
        "job_name": "apm-agents",
        "scheme": "https",
        "tls_config": {
            "ca_file": str(tls / "ca.crt"),
            "cert_file": str(tls / "tls.crt"),
            "key_file": str(tls / "tls.key"),
            "server_name": "metrics.apm.valeo-neuroerp.com",
        },
        "static_configs": _pods(cluster, namespace, AGENT_LABEL, "https"),
    }
    config = {
        "global": {
            "scrape_interval": f"{every}s",
            "scrape_timeout": f"{min(every, 10)}s",
            "evaluation_interval": "15s",
        },
        "rule_files": [str(REPOSITORY / "deploy" / "monitoring" / "prometheus-rules.yaml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [manager.url.removeprefix("http://")]}]}]},
        "scrape_configs": [operator, agents],
    }
    return yaml.safe_dump(config)


def _pods(cluster: Installation, namespace: str, selector: str, port: str) -> list[dict[str, Any]]:
    """The pods there are now, at the port of this name."""
    query = ("get", "pods", f"--namespace={namespace}", f"-l={selector}", "--output=json")
    found = []
    for pod in json.loads(cluster.kubectl(*query))["items"]:
        metadata, container = pod["metadata"], pod["spec"]["containers"][0]
        if "deletionTimestamp" in metadata or not pod["status"].get("podIP"):
            continue
        number = next(each["containerPort"] for each in container["ports"] if each["name"] == port)
        labels = {"namespace": namespace, "pod": metadata["name"]}
        if AGENT_LABEL in metadata["labels"]:
            labels["agent"] = metadata["labels"][AGENT_LABEL]
        found.append({"targets": [f"{pod['status']['podIP']}:{number}"], "labels": labels})
    return found
