"""What the page on security claims is shown by tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from cluster.settings import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [line for line in PAGE.partition("## Threats")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")][
    2:
]
OURS = [path for part in ("operator", "agent_runtime", "docs", "deploy") for path in (REPOSITORY / part).rglob("*.py")]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_named_test_exists(file, name):
    tree = ast.parse((REPOSITORY / file).read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_threat_names_a_test(row):
    threat, stopped, test = (cell.strip() for cell in row.strip("|").split("|"))
    assert threat
    assert stopped
    assert re.fullmatch(r"`tests/[\w/]+\.py::\w+`(, `tests/[\w/]+\.py::\w+`)*", test)


def test_there_are_threats():
    assert len(ROWS) > 20


def test_yaml_is_read_without_its_own_types():
    readers = {
        (path.name, node.func.attr)
        for path in OURS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "yaml"
    }
    assert readers, "nothing was looked at"
    assert {call for _, call in readers} <= {"safe_dump", "safe_dump_all", "safe_load", "safe_load_all"}
    # What the runtime and the operator are given is JSON; the files that these read are the repository's own.
    inside = [path for path in OURS if path.is_relative_to(REPOSITORY / "agent_runtime")]
    assert not [path for path in inside if "yaml" in path.read_text().split()]
