"""Texts as passages and vectors, and what is most like a question."""

import sys
from array import array
from collections.abc import AsyncIterator, Sequence

import pytest

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.integrations.knowledge import scan
from agent_runtime.integrations.knowledge.embedding import ModelEmbedding, normal
from agent_runtime.integrations.knowledge.hashing import DIMENSIONS, HashingEmbedding, vector
from agent_runtime.integrations.knowledge.passages import LONGEST, passages
from agent_runtime.metrics import Metrics
from agent_runtime.models.embeddings import OpenAIEmbeddings
from agent_runtime.resilience.budget_stores import MemoryBudgets
from agent_runtime.resilience.budgets import BudgetExceeded, Budgets
from agent_runtime.spec.budgets import BudgetsSpec
from agent_runtime.spec.model import ModelSpec
from fakes.tool_server import tool_server

TEXTS = {
    "hours": "We are open from 11 to 22 o'clock, closed on Mondays.",
    "parking": "Guests park behind the house; the car park is free of charge.",
    "allergens": "The menu marks gluten, nuts and lactose. Ask us about further allergens.",
    "umlaut": "Übungsräume kann man stundenweise mieten.",
    "dogs": "Dogs are welcome in the garden.",
}


async def best(question: str) -> str:
    async def batches() -> AsyncIterator[Sequence[scan.Candidate]]:
        yield [(name, scan.pack(vector(text))) for name, text in TEXTS.items()]

    return (await scan.nearest(vector(question), batches(), 2))[0][0]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When are you closed?", "hours"),
        ("Where can I park my car?", "parking"),
        ("Is there an allergen such as a nut in the soup?", "allergens"),
        ("ubungsraum mieten", "umlaut"),
        ("May I bring my DOG?", "dogs"),
    ],
)
async def test_words_and_their_forms_are_found(question, answer):
    assert await best(question) == answer


async def test_vectors_are_the_same_everywhere_and_of_length_one():
    (one,) = await HashingEmbedding().vectors(["Guests park behind the house."])
    assert one.tobytes()[:400] == vector("Guests park behind the house.").tobytes()[:400]
    # As it was when this was written: what is kept in databases is compared with what is made later.
    assert [place for place, number in enumerate(vector("park")) if number] == [233, 413, 689, 856, 940]
    assert sum(number * number for number in one) == pytest.approx(1)
    assert len(vector("... !")) == DIMENSIONS


@pytest.mark.parametrize("with_numpy", [True, False])
def test_cosines_with_and_without_numpy(with_numpy, monkeypatch):
    scan._numpy.cache_clear()
    if not with_numpy:
        monkeypatch.setitem(sys.modules, "numpy", None)
    wanted, others = normal([1, 0, 1]), [normal([1, 0, 1]), normal([0, 1, 0]), normal([-1, 0, -1])]
    assert scan.cosines(wanted, [scan.pack(each) for each in others]) == pytest.approx([1, 0, -1], abs=1e-6)
    assert scan.cosines(wanted, []) == []
    scan._numpy.cache_clear()


def test_packed_vectors_are_compared_nearly_exactly():
    one, other = vector(TEXTS["hours"]), vector(TEXTS["parking"])
    exact = sum(left * right for left, right in zip(one, other, strict=True))
    assert scan.cosines(one, [scan.pack(one), scan.pack(other)]) == pytest.approx([1, exact], abs=0.002)


async def test_vectors_of_another_length_are_passed_over():
    def candidate(name: str, *numbers: float) -> scan.Candidate:
        return name, scan.pack(array("f", numbers))

    async def batches() -> AsyncIterator[Sequence[scan.Candidate]]:
        yield [candidate("short", 1.0), candidate("fits", 1.0, 0.0)]
        yield [candidate("better", 0.6, 0.8)]

    assert [name for name, _ in await scan.nearest(array("f", [0.0, 1.0]), batches(), 3)] == ["better", "fits"]


@pytest.mark.parametrize(
    "text",
    [
        "short",
        "A sentence of some words. " * 400,
        "word " * 2000,
        "x" * 5000,
        "First part.\n\n" + "Second part, which is long. " * 60 + "\n\nThird part.",
    ],
)
def test_passages_hold_all_words_and_no_more_than_they_may(text):
    found = passages(text)
    assert all(0 < len(each) <= LONGEST for each in found)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert len(found) <= 1 + 3 * len(text) // LONGEST


def test_passages_end_where_sentences_do():
    assert {each[-1] for each in passages("A sentence of some words. " * 400)} == {"."}


async def embedded(answer, count: int = 2) -> list[list[float]]:
    spec = ModelSpec.model_validate({"name": "e", "model": "small", "baseURL": "http://x", "maxAttempts": 1})
    async with tool_server(answer=answer) as service, outbound.client() as http:
        model = OpenAIEmbeddings(spec.model_copy(update={"base_url": service.url}), http, outbound.Secrets("/x"))
        return [list(each) for each in await ModelEmbedding(model).vectors([f"text {n}" for n in range(count)])]


async def test_vectors_of_a_model_are_within_budgets():
    spec = ModelSpec.model_validate({"name": "e", "model": "small", "baseURL": "http://x"})
    answer = {"data": [{"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 90}}
    budgets = Budgets(
        BudgetsSpec.model_validate({"agent": {"tokensPerDay": 100}}), MemoryBudgets(), Metrics().resilience
    )
    async with tool_server(answer=answer) as service, outbound.client() as http:
        at = spec.model_copy(update={"base_url": service.url})
        model = OpenAIEmbeddings(at, http, outbound.Secrets("/x"), budgets=budgets)
        assert await model.embed(["x"]) == [[1.0]]
        with pytest.raises(BudgetExceeded):
            await model.embed(["x" * 100])
        assert len(service.calls) == 1


async def test_vectors_of_a_model_come_in_the_order_of_the_texts():
    answer = {"data": [{"index": 1, "embedding": [0, 3]}, {"index": 0, "embedding": [4, 0]}]}
    assert await embedded(answer) == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]},
        {"data": [{"index": 0, "embedding": ["a"]}, {"index": 1, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [0, 0]}, {"index": 1, "embedding": [1, 1]}]},
        [],
        "text",
    ],
)
async def test_answers_that_are_no_vectors(answer):
    with pytest.raises(CallError) as caught:
        await embedded(answer)
    assert caught.value.kind is CallErrorKind.BAD_ANSWER
