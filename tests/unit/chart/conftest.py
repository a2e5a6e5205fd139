"""The chart as Helm renders it."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from cluster import gobuild
from cluster.settings import REPOSITORY

CHART = REPOSITORY / "charts" / "apm-operator"

Helm = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Runs Helm and returns how it ended."""
    program = str(gobuild.program("helm"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def template(helm: Helm) -> Helm:
    """Renders the chart as release `apm` in `apm-system`, with `--set` arguments and one for `--set-json`."""

    def run(*values: str, json: str = "") -> subprocess.CompletedProcess[str]:
        sets = [argument for value in values for argument in ("--set", value)]
        sets += ["--set-json", json] if json else []
        return helm("template", "apm", str(CHART), "--namespace", "apm-system", *sets)

    return run


@pytest.fixture(scope="session")
def render(template: Helm) -> Render:
    """The rendered objects for some `--set` arguments."""

    def run(*values: str, json: str = "") -> list[dict[str, Any]]:
        done = template(*values, json=json)
        assert done.returncode == 0, done.stderr
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    return run
