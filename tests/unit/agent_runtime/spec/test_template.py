from __future__ import annotations

import pytest

from agent_runtime.spec.expression import ExpressionError
from agent_runtime.spec.template import Template


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("Plain", "Plain"),
        ("Hello {{ state.name }}!", "Hello Ann!"),
        ("{{ state.n }} of {{ state.list }}", '2 of ["a", "b"]'),
        ("nothing: {{ state.none }}.", "nothing: ."),
        ("", ""),
    ],
)
async def test_holes_are_filled(text, rendered):
    state = {"name": "Ann", "n": 2, "list": ["a", "b"], "none": None}
    assert await Template.compile(text).render(state=state) == rendered


def test_an_open_hole_is_refused():
    with pytest.raises(ExpressionError, match="not closed"):
        Template.compile("Hello {{ state.name")


async def test_a_value_with_braces_is_not_expanded_again():
    assert await Template.compile("{{ state.x }}").render(state={"x": "{{ state.secret }}"}) == "{{ state.secret }}"
