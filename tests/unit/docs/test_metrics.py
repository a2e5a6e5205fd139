"""The page of metrics holds every one of them, and each is named as Prometheus wants it."""

import re
import subprocess

import pytest
from prometheus_client import generate_latest

from apm_operator.activator.counts import FAMILIES, Counts
from apm_operator.metrics import REGISTRY
from cluster import debian
from cluster.settings import REPOSITORY
from docs import metrics

ALL = [each for section in metrics.by_section().values() for each in section]
MADE = re.compile(r"\b(?:Counter|Gauge|Histogram|Totals)\(\s*\"(apm_\w+)\"")


def test_the_page_is_in_step():
    assert metrics.TARGET.read_text() == metrics.page()


def test_no_metric_is_made_that_the_page_does_not_have():
    sources = [path for top in ("operator", "agent_runtime") for path in (REPOSITORY / top).rglob("*.py")]
    made = {name for path in sources for name in MADE.findall(path.read_text())}
    made |= {name.removesuffix("_total") for name, *_ in FAMILIES}
    assert {each.name.removesuffix("_total") for each in ALL} == made


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_are_as_prometheus_wants_them(metric):
    assert re.fullmatch(r"apm_[a-z0-9_]+[a-z0-9]", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent|count|sum|bucket)$", metric.name)
    if metric.kind == "histogram":
        assert metric.name.endswith(("_seconds", "_bytes"))
    assert metric.meaning.endswith(".")
    assert not {"le", "quantile", "job", "instance", "pod"} & set(metric.labels)


def test_promtool_finds_nothing_wrong_with_an_activators():
    command = [debian.program("promtool"), "check", "metrics"]
    text = Counts().exposition().encode()
    done = subprocess.run(command, input=text, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode() + done.stderr.decode()) == (0, "")


@pytest.mark.parametrize("registry", [REGISTRY, metrics.registry_of_agents()], ids=["operator", "agent"])
def test_promtool_finds_nothing_wrong_with_what_is_exposed(registry):
    command = [debian.program("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=generate_latest(registry), capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode() + done.stderr.decode()) == (0, "")
