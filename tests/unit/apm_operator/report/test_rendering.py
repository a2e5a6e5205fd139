"""Reports as Markdown, HTML and Slack's blocks; `UPDATE_GOLDEN=1` writes the expected texts anew."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from apm_operator.report.document import Document, document
from apm_operator.report.figures import Report, State
from apm_operator.report.markdown import markdown
from apm_operator.report.page import page
from apm_operator.report.slack import message
from unit.apm_operator.report.samples import clerk, dark, week

GOLDEN = Path(__file__).parent / "golden"
REPORTS = {"week": week, "dark": dark}


def as_json(found: Document) -> str:
    return json.dumps(message(found), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(("ending", "write"), [("md", markdown), ("html", page), ("json", as_json)])
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_as_in_the_golden_file(name: str, ending: str, write: Callable[[Document], str]):
    text = write(document(REPORTS[name]()))
    golden = GOLDEN / f"{name}.{ending}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


HOSTILE = '</td><script>alert(1)</script> | <!channel> **bold** [x](http://evil) `code` & "quoted"\nsecond line'


class Page(HTMLParser):
    """What a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile() -> Report:
    told = replace(clerk(), ready=State("False", "Crashed", HOSTILE), anomalous=State("True", "Anomaly", HOSTILE))
    return replace(week(), agents=(told,) * 200, trouble=HOSTILE)


def test_a_page_needs_nothing_from_elsewhere_and_shows_texts_as_they_are():
    text = page(document(hostile()))
    read = Page()
    read.feed(text)
    assert read.open == []
    assert read.tags.isdisjoint({"script", "img", "link", "style", "iframe", "object", "base"})
    assert read.attributes.isdisjoint({"href", "src", "srcset", "class", "onload", "onclick"})
    assert "url(" not in text
    assert HOSTILE in read.text


def test_plots_are_well_formed_and_tell_what_is_not_known():
    plots = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page(document(week())))]  # noqa: S314
    assert [plot[0].text for plot in plots] == ["Runs", "95 of 100 runs ended within", "Cost"]
    runs = plots[0]
    dashed = [each for each in runs if each.get("stroke-dasharray")]
    assert len(dashed) == 1
    heights = [float(each.get("height", "")) for each in runs if each.get("fill") == "#c62828"]
    assert len(heights) == 5
    assert min(heights) >= 1.0


def test_texts_of_others_bring_no_marks_into_markdown():
    text = markdown(document(hostile()))
    assert "<script>" not in text
    assert "\\*\\*bold\\*\\*" in text
    assert "\\[x\\](http" in text
    rows = [line for line in text.splitlines() if line.startswith("| clerk ")]
    assert {line.replace("\\|", "").count("|") for line in rows} <= {4, 5, 6, 9}


def test_texts_of_others_do_nothing_to_a_terminal():
    told = replace(clerk(), ready=State("False", "Crashed", "gone\x1b[2J\x9b\u202eaway"))
    text = markdown(document(replace(week(), agents=(told,))))
    assert "gone\\[2Jaway" in text
    assert text.replace("\n", "").isprintable()


def test_a_message_to_slack_keeps_its_limits_and_calls_nobody():
    told = message(document(hostile()))
    texts = [each["text"]["text"] for each in told["blocks"] if "text" in each]
    assert max(map(len, texts)) <= 3000
    assert len(told["blocks"]) <= 50
    assert "<!channel>" not in json.dumps(told)
    shown = [*(each["text"] for each in told["blocks"] if "text" in each), *told["blocks"][1]["elements"]]
    marked = [text for text in shown if text["type"] == "mrkdwn"]
    assert marked
    assert all(text["verbatim"] for text in marked), "else Slack makes calls of `@name` and links of addresses"
    assert any("more" in text for text in texts)


def test_numbers_that_are_not_known_are_never_shown_as_none_at_all():
    text = markdown(document(dark()))
    assert "- Runs: unknown" in text
    (row,) = [line for line in text.split("## Budgets")[0].splitlines() if line.startswith("| clerk ")]
    assert row == "| clerk | unknown | unknown | unknown | unknown | unknown | unknown | unknown |"
    assert "▁" not in text
    assert "<svg" not in page(document(dark()))


def test_part_of_the_agents_being_known_is_said():
    assert any("of 3 of 4 agents" in fact for fact in document(week()).facts)
