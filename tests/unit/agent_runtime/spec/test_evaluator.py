"""Expressions that would keep a pod busy, or fill its memory, end soon and fail with advice."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent_runtime.spec.expression import Expression, ExpressionError

NUMBERS = list(range(9_000))
TEXT = "a" * 1_000_000
GREEDY = {
    "a scan for each item": "state.numbers.all(i, !state.text.contains('aaaab'))",
    "three loops in each other": "state.numbers.all(a, state.numbers.all(b, state.numbers.all(c, c >= 0)))",
    "a text that doubles": "[state.text]" + ".map(x, x + x)" * 12,
    "a list that doubles": "[state.numbers]" + ".map(x, x + x)" * 14,
    "a replacement that multiplies": "state.text.replace('a', state.text)",
    "a long join": "state.numbers.map(i, 'x').join(state.text)",
    "a copy for each item": "state.numbers.map(i, state.text + string(i))",
    "a comment between name and bracket": "state.numbers.all // \n (i, !state.text.contains('aaaab'))",
}


@pytest.mark.parametrize("text", GREEDY.values(), ids=GREEDY)
async def test_it_ends_soon(text):
    expression = Expression.compile(text)
    assert not expression.light
    begin = time.monotonic()
    with pytest.raises(ExpressionError, match=r"takes more than|budget|more than 4 MiB"):
        await expression.evaluate(state={"numbers": NUMBERS, "text": TEXT})
    assert time.monotonic() - begin < 10


async def test_after_one_that_was_ended_the_next_is_evaluated():
    with pytest.raises(ExpressionError):
        await Expression.compile(GREEDY["a scan for each item"]).evaluate(state={"numbers": NUMBERS, "text": TEXT})
    assert await Expression.compile("state.numbers.filter(i, i > 8997)").evaluate(
        state={"numbers": NUMBERS[-100:]}
    ) == [
        8998,
        8999,
    ]


@pytest.mark.parametrize(
    ("text", "light"),
    [
        ("state.topic == 'booking' && state.count > 3", True),
        ("state.messages[size(state.messages) - 1].content.contains('please call me back at once')", True),
        ("'a + b + c are words in a text and cost nothing at all, however many words there are in it' + state.x", True),
        ("state.items.exists(i, i > 3)", False),
        ("state.text.replace('a', 'b')", False),
        ("state.text.split(',')", False),
        ("[" + "state.text, " * 30 + "]", False),
        ("state.text.matches(state.pattern)", False),
        ("'it\\'s ' + " + "state.a + " * 20 + "' '", False),
    ],
)
def test_what_is_evaluated_in_the_pod_itself(text, light):
    assert Expression.compile(text).light is light


async def test_the_helper_answers_as_the_pod_would():
    state = {"items": [{"price": 3, "tags": ["a", None]}, {"price": 2.5, "tags": []}], "none": None, "ä": "\ud800é"}
    text = "[state.items.map(i, i), state.none, state.items.exists(i, i.price > 2.9)]"
    assert await Expression.compile(text).evaluate(state=state) == [state["items"], None, True]


async def test_the_whole_state_can_be_used():
    assert await Expression.compile("state.map(name, name).size()").evaluate(state={"a": 1, "b": 2}) == 2


async def test_an_error_is_told_once():
    with pytest.raises(ExpressionError) as caught:
        await Expression.compile("state.items.map(i, i.missing)").evaluate(state={"items": [{}]})
    assert str(caught.value).count("can't be evaluated") == 1
    assert "missing" in str(caught.value)


async def test_a_value_that_is_no_json_is_refused():
    with pytest.raises(ExpressionError, match="not plain"):
        await Expression.compile("[1].map(i, b'x')").evaluate(state={})


async def test_others_go_on_meanwhile():
    heavy = Expression.compile(GREEDY["a scan for each item"])
    state = {"numbers": NUMBERS, "text": TEXT}
    waiting = asyncio.gather(*(heavy.evaluate(state=state) for _ in range(3)), return_exceptions=True)
    longest = 0.0
    while not waiting.done():
        begin = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - begin)
    assert all(isinstance(outcome, ExpressionError) for outcome in await waiting)
    assert longest < 0.8
