"""The picture in the documentation shows the dashboard as it is, and draws numbers right."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from cluster.settings import REPOSITORY
from deploy.dashboard.panel import graph, number
from deploy.dashboard.picture import Series, legend, svg, value
from deploy.dashboard.sections import SECTIONS

PICTURE = REPOSITORY / "docs" / "images" / "dashboard.svg"
_LARGEST = 300_000


def parts(picture: str, kind: str) -> list[Element]:
    """Its elements of a kind."""
    return [each for each in fromstring(picture).iter() if each.tag.endswith(kind)]  # noqa: S314 - of our own making


def texts(picture: str) -> list[str]:
    """The words of a picture."""
    return ["".join(each.itertext()) for each in parts(picture, "text")]


def test_the_documentation_shows_every_panel_with_its_data():
    shown = texts(PICTURE.read_text())
    titles = [panel.title for panels in SECTIONS.values() for panel in panels]
    assert [title for title in (*SECTIONS, *titles) if title not in shown] == []
    assert "no data" not in shown
    assert PICTURE.stat().st_size < _LARGEST


def test_lines_go_from_the_first_time_to_the_last_and_from_0_to_the_most():
    line = Series("a<b", [(100.0, 0.0), (105.0, float("nan")), (110.0, 4.0)])
    picture = svg({"One": [(graph("Runs", "reqps", ("x", "")), [line]), (number("Now", "s", "x"), [line])]})
    (course,) = [each.get("points", "") for each in parts(picture, "polyline")]
    (left, bottom), (right, top) = (tuple(map(float, point.split(","))) for point in course.split())
    assert right - left > 200
    assert bottom - top == 78
    assert {"a<b", "4 /s", "2 /s", "4 s"} <= {*texts(picture)}


def test_a_panel_without_data_says_so():
    assert "no data" in texts(svg({"One": [(graph("Runs", "ops", ("x", "")), [Series("", [])])]}))


@pytest.mark.parametrize(
    ("amount", "unit", "shown"),
    [
        (0, "s", "0 s"),
        (0.0123, "s", "12.3 ms"),
        (7200, "s", "2 h"),
        (0, "bytes", "0 B"),
        (84_000_000, "bytes", "80.1 MiB"),
        (0.5, "percentunit", "50 %"),
        (1234, "short", "1234"),
        (3.25, "ops", "3.25 /s"),
    ],
)
def test_numbers_have_their_unit(amount, unit, shown):
    assert value(amount, unit) == shown


def test_legends_are_filled_in_as_grafana_does():
    assert legend("{{namespace}}/{{agent}} wanted", {"namespace": "shop", "agent": "one"}) == "shop/one wanted"
    assert legend("{{namespace}}/{{agent}}", {}) == ""
