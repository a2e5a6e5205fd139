from __future__ import annotations

import pytest

from agent_runtime.spec.expression import Expression, ExpressionError, state_fields


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("state.n + 1", 3),
        ("state.words.map(w, w.upperAscii())", ["A", "B"]),
        ("'x' in state.words", False),
        ("has(state.missing)", False),
        ("{'a': state.n}", {"a": 2}),
        ("state.nothing", None),
        ("'a,b'.split(',')", ["a", "b"]),
    ],
)
async def test_values_are_plain_python(text, value):
    state = {"n": 2, "words": ["a", "b"], "nothing": None}
    assert await Expression.compile(text).evaluate(state=state) == value


async def test_a_missing_field_is_an_error_that_names_the_expression():
    with pytest.raises(ExpressionError, match=r"`state\.gone` can't be evaluated"):
        await Expression.compile("state.gone").evaluate(state={})


def test_unknown_names_do_not_compile():
    with pytest.raises(ExpressionError, match="undeclared reference to '__import__'"):
        Expression.compile("__import__('os')")


def test_a_syntax_error_says_where():
    with pytest.raises(ExpressionError, match=r"at character 11, Syntax error: mismatched input '<EOF>'$"):
        Expression.compile("state.n ==")


async def test_an_expression_cannot_run_long():
    nested = "state.l.map(a, state.l.map(b, state.l.map(c, a + b + c)))"
    with pytest.raises(ExpressionError, match="budget"):
        await Expression.compile(nested).evaluate(state={"l": list(range(300))})


async def test_a_condition_must_be_boolean():
    with pytest.raises(ExpressionError, match="must be true or false, and is int"):
        await Expression.compile("state.n").holds({"state": {"n": 1}})


def test_fields_inside_literals_are_no_fields():
    assert list(state_fields("state.a == 'state.b' && state.c.d")) == ["a", "c"]
