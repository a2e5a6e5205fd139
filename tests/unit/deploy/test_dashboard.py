"""The dashboard asks for metrics that are there, and lies in the chart as it is made."""

import json
import re

import pytest

from deploy.dashboard.__main__ import TARGET
from deploy.dashboard.build import UID, text
from deploy.dashboard.sections import SECTIONS
from docs import metrics

PANELS = [(section, panel) for section, panels in SECTIONS.items() for panel in panels]
OF_CLIENT = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
TARGET_LABELS = {"namespace", "agent", "pod", "le"}


def samples() -> dict[str, set[str]]:
    """The labels of each sample that can be asked for."""
    found: dict[str, set[str]] = {name: set() for name in OF_CLIENT}
    for section in metrics.by_section().values():
        for each in section:
            suffixes = ("_bucket", "_sum", "_count") if each.kind == "histogram" else ("",)
            found |= {each.name + suffix: set(each.labels) for suffix in suffixes}
    return found


def test_the_chart_has_the_dashboard_as_it_is_made():
    assert TARGET.read_text() == text()


@pytest.mark.parametrize(("section", "panel"), PANELS, ids=[f"{section}: {panel.title}" for section, panel in PANELS])
def test_a_panel_asks_for_metrics_and_labels_that_are_there(section, panel):
    known = samples()
    for query in panel.queries:
        asked = re.findall(r"\b(?:apm|process)_\w+", query.expr)
        assert asked
        assert set(asked) <= known.keys(), section
        labels = set().union(*(known[name] for name in asked)) | TARGET_LABELS
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query.expr) for label in group.split(",")}
        assert grouped <= labels
        assert set(re.findall(r"{{(\w+)}}", query.legend)) <= labels


def test_every_panel_has_a_place_and_a_number_of_its_own():
    made = json.loads(text())
    assert made["uid"] == UID
    places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in made["panels"]]
    assert len(set(places)) == len(places)
    assert len({each["id"] for each in made["panels"]}) == len(made["panels"])
    assert [each["title"] for each in made["panels"] if each["type"] == "row"] == [*SECTIONS]
