"""The rules as files: for a plain Prometheus, and for the chart, which makes a PrometheusRule of them."""

from __future__ import annotations

from io import SEEK_END, StringIO
from pathlib import Path

import yaml

from deploy.alerts import agents, objectives, platform
from deploy.alerts.rule import Alert, Group

ROOT = Path(__file__).resolve().parents[2]
_HEADER = "# Generated from deploy/alerts by deploy/render.py; edit that instead.\n"


def groups() -> tuple[Group, ...]:
    """All of them."""
    return (*agents.groups(), *objectives.groups(), *platform.groups())


def alerts() -> tuple[Alert, ...]:
    """Every alert; those with several windows as often."""
    return tuple(rule for group in groups() for rule in group.rules if isinstance(rule, Alert))


def rendered() -> dict[Path, str]:
    """What each file is to hold."""
    stream = StringIO(_HEADER)
    stream.seek(0, SEEK_END)
    dumper = _Dumper(stream, sort_keys=False, width=120)
    dumper.open()
    dumper.represent({"groups": [group.rendered() for group in groups()]})
    dumper.close()
    text = stream.getvalue()
    return {ROOT / "deploy/monitoring/prometheus-rules.yaml": text, ROOT / "charts/apm-operator/files/rules.yaml": text}


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as such."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _string)
