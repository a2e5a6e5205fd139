"""An agent as a chat model, driven by OpenAI's own client."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import openai
import pytest

from agent_runtime.server.chat import THREAD_HEADER
from fakes.agents import CHAT, ECHO, running
from fakes.authority import swap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SPEC = {"models": [ECHO], "workflow": CHAT}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "30s"}]}
KEYS = {"alice": "alices-very-secret-key", "bob": "bobs-very-secret-key-too"}
REMEMBERS = {
    "name": "default",
    "provider": "scripted",
    "script": [{"reply": '{{ messages.map(m, m.role + ":" + m.content).join(", ") }}'}],
}


@asynccontextmanager
async def _client(url: str, key: str = "none", thread: str | None = None) -> AsyncIterator[openai.AsyncOpenAI]:
    headers = {THREAD_HEADER: thread} if thread else {}
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, default_headers=headers, timeout=30) as it:
        yield it


def _user(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def _said(client: openai.AsyncOpenAI, text: str) -> str | None:
    answer = await client.chat.completions.create(model="tested", messages=_user(text))
    return answer.choices[0].message.content


async def test_a_conversation_is_what_the_client_sends():
    sent: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": [{"type": "text", "text": "two"}]},
    ]
    async with running({**SPEC, "models": [REMEMBERS]}) as it, _client(it.url) as client:
        answer = await client.chat.completions.create(model="agent", messages=sent, temperature=0.2)
        threads = await it.client.threads.search()
    assert answer.choices[0].message.content == "system:Be brief., user:one, assistant:1, user:two"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "tested"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert threads == [], "nothing of it is kept"


async def test_an_answer_is_streamed():
    async with running(SPEC) as it, _client(it.url) as client:
        stream = await client.chat.completions.create(
            model="tested", messages=_user("one two"), stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        threads = await it.client.threads.search()
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(texts) == "You said: one two"
    assert len(texts) >= 4
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4
    assert threads == []


async def test_a_thread_keeps_the_conversation():
    async with running({**SPEC, "models": [REMEMBERS]}) as it, _client(it.url, thread="c1") as client:
        assert await _said(client, "one") == "user:one"
        again: Any = [*_user("one"), {"role": "assistant", "content": "user:one"}, *_user("two")]
        answer = await client.chat.completions.create(model="tested", messages=again)
        kept = (await it.client.threads.get_state("c1"))["values"]["messages"]
    assert answer.choices[0].message.content == "user:one, assistant:user:one, user:two"
    assert [message["type"] for message in kept] == ["human", "ai", "human", "ai"]


async def test_a_question_is_answered_by_the_next_message():
    async with running({"graph": "fakes.asking:build"}) as it, _client(it.url, thread="c1") as client:
        assert await _said(client, "Publish") == "Really Publish?"
        assert await _said(client, "Yes") == '{"ask":"Who says so?"}'
        stream = await client.chat.completions.create(model="tested", messages=_user("Bob"), stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(texts) == "Yes, says Bob"


async def test_an_approval_is_asked_in_words():
    gate = {"name": "gate", "uses": "approval", "with": {"ask": "Refund?", "routes": {"yes": "say", "no": "end"}}}
    workflow = {"start": "gate", "nodes": [gate, {"name": "say", "uses": "model"}]}
    async with running({"models": [ECHO], "workflow": workflow}) as it, _client(it.url, thread="c1") as client:
        assert await _said(client, "Hi") == "Refund? (yes, no)"
        again = await _said(client, "perhaps")
        assert again.startswith("choice: 'perhaps' is not one of")
        assert again.endswith("\n\nRefund? (yes, no)")
        assert await _said(client, "yes") == "You said: Hi"


async def test_what_models_say_to_the_workflow_is_not_told():
    state = {"messages": {"type": "messages"}, "topic": {"type": "string"}}
    nodes = [
        {"name": "sort", "uses": "model", "with": {"save": "topic"}, "next": "first"},
        {"name": "first", "uses": "model", "next": "second"},
        {"name": "second", "uses": "model"},
    ]
    spec = {"models": [ECHO], "workflow": {"state": state, "start": "sort", "nodes": nodes}}
    async with running(spec) as it, _client(it.url) as client:
        stream = await client.chat.completions.create(model="tested", messages=_user("hi"), stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        whole = await _said(client, "hi")
    assert "".join(texts) == whole == "You said: hi\n\nYou said: hi"


async def test_the_agent_is_the_only_model():
    async with running(SPEC) as it, _client(it.url) as client:
        assert [model.id async for model in client.models.list()] == ["tested"]
        assert (await client.models.retrieve("tested")).owned_by == "tests"
        with pytest.raises(openai.NotFoundError, match="this agent is tested"):
            await client.chat.completions.create(model="gpt", messages=_user("hi"))


async def test_what_does_not_fit_is_refused_in_words():
    async with running(SPEC) as it, _client(it.url) as client:
        with pytest.raises(openai.UnprocessableEntityError, match="must be of the role user"):
            await client.chat.completions.create(model="tested", messages=[{"role": "system", "content": "x"}])
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(model="tested", messages=_user("hi"), n=2)
        assert caught.value.type == "invalid_request_error"
        assert caught.value.body["message"].startswith("n: ")  # type: ignore[index]
    state = {"number": {"type": "integer"}}
    node = {"name": "a", "uses": "set", "with": {"values": {"number": "1"}}}
    async with running({"workflow": {"state": state, "start": "a", "nodes": [node]}}) as it, _client(it.url) as client:
        with pytest.raises(openai.UnprocessableEntityError, match="holds no conversation"):
            await _said(client, "hi")


async def test_a_failed_run_is_not_asked_for_again():
    failing = {"start": "a", "nodes": [{"name": "a", "uses": "set", "with": {"values": {"messages": "7"}}}]}
    async with running({"workflow": failing}) as it, _client(it.url, thread="c1") as client:
        with pytest.raises(openai.InternalServerError, match="channel `messages`"):
            await _said(client, "hi")
        assert len(await it.client.runs.list("c1")) == 1
        stream = await client.chat.completions.create(model="tested", messages=_user("hi"), stream=True)
        with pytest.raises(openai.APIError, match="channel `messages`"):
            [chunk async for chunk in stream]


async def test_callers_have_conversations_of_their_own(tmp_path):
    swap(tmp_path / "keys", KEYS)
    spec = {**SPEC, "models": [REMEMBERS], "auth": {"apiKeys": {"secretRef": {"name": "callers"}}}}
    async with (
        running(spec, api_keys_dir=tmp_path / "keys") as it,
        _client(it.url, KEYS["alice"], "c1") as alice,
        _client(it.url, KEYS["bob"], "c1") as bob,
        _client(it.url, "somebody-elses-key-entirely") as nobody,
    ):
        assert await _said(alice, "mine") == "user:mine"
        assert await _said(bob, "hello") == "user:hello"
        with pytest.raises(openai.AuthenticationError):
            await _said(nobody, "hi")


async def test_a_client_that_goes_away_stops_its_run():
    async with running({**SPEC, "models": [SLOW]}) as it, _client(it.url, thread="c1") as client:
        stream = await client.chat.completions.create(model="tested", messages=_user("hi"), stream=True)
        await anext(aiter(stream))
        await stream.close()
        deadline = time.monotonic() + 20
        status = ""
        while time.monotonic() < deadline and status != "interrupted":
            status = (await it.client.runs.list("c1"))[0]["status"]
            await asyncio.sleep(0.05)
    assert status == "interrupted"
