"""Renders the chart into plain manifests: `python deploy/render.py`, or `--check` to see that they are in step.

Run with `PYTHONPATH=tests`, where the pinned Helm comes from. The CRDs are not in it: they lie in crds/.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from cluster import gobuild

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "deploy" / "apm-operator.yaml"
NAMESPACE = "apm-system"
HEADER = "# Generated from charts/apm-operator by deploy/render.py; edit the chart instead.\n"
NOT_FROM_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def render() -> str:
    """The operator's manifests with the chart's default values, its namespace first."""
    command = [
        *(str(gobuild.program("helm")), "template", "apm", str(ROOT / "charts" / "apm-operator")),
        *("--namespace", NAMESPACE, "--no-hooks", "--set", "crds.enabled=false,tests.enabled=false"),
    ]
    chart = subprocess.run(command, capture_output=True, text=True, check=True).stdout
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
    """Write the manifests, or compare them with what is there."""
    wanted = render()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(wanted)
    elif not TARGET.exists() or TARGET.read_text() != wanted:
        sys.exit("error: deploy/apm-operator.yaml is out of step with the chart: run `make generate`")


if __name__ == "__main__":
    main()
