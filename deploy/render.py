"""Renders the alerts, and the chart into plain manifests: `python deploy/render.py`; `--check` compares.

Run with `PYTHONPATH=.:tests`; the pinned Helm comes from there. The CRDs are not in it: they lie in crds/.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from cluster import gobuild
from deploy.alerts import files

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "deploy" / "apm-operator.yaml"
ALERTMANAGER = ROOT / "deploy" / "monitoring" / "alertmanager.yaml"
NAMESPACE = "apm-system"
HEADER = "# Generated from charts/apm-operator by deploy/render.py; edit the chart instead.\n"
NOT_FROM_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def template(*flags: str) -> str:
    """What Helm makes of the chart."""
    command = [
        *(str(gobuild.program("helm")), "template", "apm", str(ROOT / "charts" / "apm-operator")),
        *("--namespace", NAMESPACE, "--no-hooks", *flags),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def alertmanager() -> str:
    """The configuration of Alertmanager that the chart would put into a Secret."""
    made = template("--set", "monitoring.alertmanager.kind=Secret", "--show-only", "templates/alertmanager.yaml")
    text: str = yaml.safe_load(made)["stringData"]["alertmanager.yaml"]
    return HEADER + text


def render() -> str:
    """The operator's manifests with the chart's default values, its namespace first."""
    chart = template("--set", "crds.enabled=false,tests.enabled=false,monitoring.dashboard.enabled=false")
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    objects = [namespace, *(without_helm(item) for item in yaml.safe_load_all(chart) if item)]
    return HEADER + yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True, width=120)


def without_helm(item: dict[str, Any]) -> dict[str, Any]:
    """The object without the labels that say Helm manages it."""
    metadata = [item["metadata"], item.get("spec", {}).get("template", {}).get("metadata", {})]
    for labels in (part.get("labels", {}) for part in metadata):
        for label in NOT_FROM_HELM:
            labels.pop(label, None)
    return item


def main() -> None:
    """Write the files, or compare them with what is there."""
    for target, wanted in {**files.rendered(), TARGET: render(), ALERTMANAGER: alertmanager()}.items():
        if "--check" not in sys.argv[1:]:
            target.write_text(wanted)
        elif not target.exists() or target.read_text() != wanted:
            sys.exit(f"error: {target.relative_to(ROOT)} is out of step with its source: run `make generate`")


if __name__ == "__main__":
    main()
