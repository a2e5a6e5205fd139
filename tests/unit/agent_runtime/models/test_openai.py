from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.models.openai import OpenAIChatModel
from agent_runtime.spec.model import ModelSpec
from fakes.openai_server import Answer, Fault, openai_server

HELLO = [HumanMessage("hello there")]


@pytest.fixture
async def http():
    async with outbound.client() as client:
        yield client


def model(http, url: str, secrets: Path = Path("/nonexistent"), **options: Any) -> OpenAIChatModel:
    spec = {"name": "default", "model": "m1", "baseURL": url, **options}
    return OpenAIChatModel(spec=ModelSpec.model_validate(spec), http=http, secrets=outbound.Secrets(secrets))


async def test_an_answer_with_its_usage(http):
    async with openai_server(Answer("good day")) as fake:
        answer = await model(http, fake.url, temperature=0.5, maxTokens=7).ainvoke(HELLO)
    assert answer.content == "good day"
    assert answer.usage_metadata == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    sent = fake.requests[0]
    assert sent["messages"] == [{"role": "user", "content": "hello there"}]
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("m1", 0.5, 7)
    assert "authorization" not in fake.headers[0]


async def test_a_stream_comes_in_pieces(http):
    async with openai_server(Answer("one two three")) as fake:
        chunks = [chunk async for chunk in model(http, fake.url).astream(HELLO)]
    assert [chunk.content for chunk in chunks if chunk.content] == ["one ", "two ", "three"]
    assert sum(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata) == 3


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_calls(http, streamed):
    async with openai_server(Answer(calls=(("lookup", '{"number": "7"}'),))) as fake:
        llm = model(http, fake.url)
        if streamed:
            answer = None
            async for chunk in llm.astream(HELLO):
                answer = chunk if answer is None else answer + chunk
        else:
            answer = await llm.ainvoke(HELLO)
    assert answer is not None
    assert answer.tool_calls == [{"name": "lookup", "args": {"number": "7"}, "id": "call_0", "type": "tool_call"}]


async def test_broken_tool_arguments_are_kept_apart(http):
    async with openai_server(Answer(calls=(("lookup", "{oops"),))) as fake:
        answer = await model(http, fake.url).ainvoke(HELLO)
    assert answer.tool_calls == []
    assert answer.invalid_tool_calls[0]["name"] == "lookup"


async def test_a_conversation_with_tools_is_sent_as_the_api_wants_it(http):
    call = {"name": "lookup", "args": {"n": 1}, "id": "c1", "type": "tool_call"}
    talk = [*HELLO, AIMessage("", tool_calls=[call]), ToolMessage("found", tool_call_id="c1")]
    async with openai_server(Answer("done")) as fake:
        await model(http, fake.url).ainvoke(talk)
    called, found = fake.requests[0]["messages"][1:]
    assert called["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"n": 1}'}}
    ]
    assert found == {"role": "tool", "tool_call_id": "c1", "content": "found"}


async def test_the_key_is_read_at_each_use(http, tmp_path):
    (tmp_path / "llm").mkdir()
    key = tmp_path / "llm" / "key"
    async with openai_server(Answer("hi")) as fake:
        llm = model(http, fake.url, tmp_path, apiKeySecretRef={"name": "llm", "key": "key"})
        for value in ("first\n", "second"):
            key.write_text(value)
            await llm.ainvoke(HELLO)
    assert [sent["authorization"] for sent in fake.headers] == ["Bearer first", "Bearer second"]


async def test_a_missing_key_is_an_error_that_names_the_secret(http, tmp_path):
    llm = model(http, "http://127.0.0.1:9/v1", tmp_path, apiKeySecretRef={"name": "llm", "key": "key"})
    with pytest.raises(CallError, match="Secret llm has no value for the key key"):
        await llm.ainvoke(HELLO)


async def test_retry_after_is_honoured(http):
    async with openai_server(Fault.busy("1"), Answer("at last")) as fake:
        begin = time.monotonic()
        answer = await model(http, fake.url).ainvoke(HELLO)
    assert answer.content == "at last"
    assert time.monotonic() - begin >= 1
    assert len(fake.requests) == 2


async def test_a_pause_longer_than_the_time_limit_is_not_waited_for(http):
    async with openai_server(Fault.busy("3600"), Answer("never")) as fake:
        with pytest.raises(CallError) as caught:
            await model(http, fake.url).ainvoke(HELLO)
    assert caught.value.kind == CallErrorKind.RATE_LIMIT
    assert caught.value.retry_after == 3600


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failing_server_is_tried_again(http, streamed):
    async with openai_server(Fault(500), Fault(503), Answer("up again")) as fake:
        llm = model(http, fake.url)
        text = "".join([c.text async for c in llm.astream(HELLO)]) if streamed else (await llm.ainvoke(HELLO)).text
    assert text == "up again"
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        (Fault(500), CallErrorKind.SERVER, 2),
        (Fault(401), CallErrorKind.AUTHENTICATION, 1),
        (Fault(400), CallErrorKind.REFUSED, 1),
        (Fault(302, {"location": "http://127.0.0.1:9/"}), CallErrorKind.REFUSED, 1),
        (Fault(200, body="{oops"), CallErrorKind.BAD_ANSWER, 1),
        (Fault(200, body='{"choices": []}'), CallErrorKind.BAD_ANSWER, 1),
        (Fault(200, body="[]"), CallErrorKind.BAD_ANSWER, 1),
        (Answer("late", delay=5), CallErrorKind.TIMEOUT, 2),
    ],
)
async def test_each_fault_has_its_kind(http, answer, kind, requests):
    async with openai_server(answer) as fake:
        with pytest.raises(CallError) as caught:
            await model(http, fake.url, timeout="200ms", maxAttempts=2).ainvoke(HELLO)
    assert caught.value.kind == kind
    assert len(fake.requests) == requests
    assert "sk-secret" not in str(caught.value)


async def test_a_cut_stream_is_an_error_and_not_a_short_answer(http):
    async with openai_server(Answer("one two three four", cut=True)) as fake:
        with pytest.raises(CallError, match="cut its answer short") as caught:
            _ = [chunk async for chunk in model(http, fake.url).astream(HELLO)]
    assert caught.value.kind == CallErrorKind.CONNECTION


async def test_a_stream_that_never_ends_is_ended(http):
    async with openai_server(Answer("word " * 100, pause=0.05)) as fake:
        llm = model(http, fake.url, timeout="300ms", streamTimeout="500ms")
        with pytest.raises(CallError, match=r"streams for longer than 0\.5 s") as caught:
            _ = [chunk async for chunk in llm.astream(HELLO)]
    assert caught.value.kind == CallErrorKind.TIMEOUT


async def test_nobody_there(http):
    with pytest.raises(CallError) as caught:
        await model(http, "http://127.0.0.1:9/v1", maxAttempts=1).ainvoke(HELLO)
    assert caught.value.kind == CallErrorKind.CONNECTION
