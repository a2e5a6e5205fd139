"""Servers that answer to do harm, arguments that lead elsewhere, and an environment that leads astray."""

from __future__ import annotations

import gzip
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.models.openai import OpenAIChatModel
from agent_runtime.spec.model import ModelSpec
from agent_runtime.spec.secret import SecretKeyRef
from agent_runtime.spec.tool import ToolSpec
from agent_runtime.workflow.http_tool import HTTPToolCaller
from fakes.serving import serving
from fakes.tool_server import tool_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

NOWHERE = Path("/nonexistent")
BOMB = gzip.compress(b'{"text": "' + b"a" * (64 << 20) + b'"}')


@dataclass
class Hostile:
    """Answers every request alike, and remembers the requests."""

    body: bytes
    status: int
    headers: dict[str, str]
    url: str = ""
    seen: list[Request] = field(default_factory=list)

    async def serve(self, request: Request) -> Response:
        self.seen.append(request)
        return Response(self.body, self.status, self.headers, media_type="application/json")


@asynccontextmanager
async def hostile(body: bytes = b"{}", status: int = 200, **headers: str) -> AsyncIterator[Hostile]:
    it = Hostile(body, status, {name.replace("_", "-"): value for name, value in headers.items()})
    app = Starlette(routes=[Route("/{path:path}", it.serve, methods=["GET", "POST"])])
    async with serving(app) as url:
        it.url = url
        yield it


async def call(url: str, secrets: Path | None = None, **parts: object) -> object:
    """The answer of a tool at an address."""
    http_parts = {"url": f"{url}/x", "maxAttempts": 1, **parts}
    spec = ToolSpec.model_validate({"name": "lookup", "http": http_parts})
    async with outbound.client() as http:
        return await HTTPToolCaller(spec, http, outbound.Secrets(secrets or NOWHERE)).call({}, "k")


async def ask(url: str) -> None:
    """An answer of a model, streamed."""
    spec = ModelSpec.model_validate({"name": "m", "baseURL": f"{url}/v1", "model": "m", "maxAttempts": 1})
    async with outbound.client() as http:
        model = OpenAIChatModel(spec=spec, http=http, secrets=outbound.Secrets(NOWHERE))
        async for _ in model.astream("hi"):
            pass


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
@pytest.mark.parametrize("caller", [call, ask])
async def test_a_redirect_is_told_and_not_followed(status, caller):
    async with tool_server() as target, hostile(status=status, location=f"{target.url}/secret") as server:
        with pytest.raises(CallError, match="redirect") as caught:
            await caller(server.url)
    assert caught.value.kind == CallErrorKind.REFUSED
    assert target.calls == []
    assert target.url not in str(caught.value), "what the other side wrote is not repeated"
    assert len(server.seen) == 1


@pytest.mark.parametrize("caller", [call, ask])
async def test_a_packed_answer_is_not_unpacked(caller):
    async with hostile(BOMB, content_encoding="gzip") as server:
        with pytest.raises(CallError, match="packed its answer") as caught:
            await caller(server.url)
    assert caught.value.kind == CallErrorKind.BAD_ANSWER
    assert server.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
async def test_a_proxy_of_the_environment_is_not_used(monkeypatch, name):
    async with tool_server() as proxy, tool_server(answer="direct") as service:
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert await call(service.url) == "direct"
    assert proxy.calls == []


async def test_credentials_of_a_netrc_are_not_sent(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password marked-secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with tool_server() as service:
        await call(service.url)
    assert "authorization" not in service.calls[0].headers


@pytest.mark.parametrize("field", ["bearerTokenSecretRef", "apiKeySecretRef"])
@pytest.mark.parametrize("value", ["to\nken", "to\r\nx-other: 1", "to ken", "tökén", "to\0ken"])
async def test_a_token_that_is_none_is_not_sent(tmp_path, value, field):
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "token").write_text(value)
    async with tool_server() as service:
        with pytest.raises(CallError, match="set it to the token alone") as caught:
            await call(service.url, tmp_path, **{field: {"name": "crm", "key": "token"}})
    assert service.calls == []
    assert caught.value.kind == CallErrorKind.AUTHENTICATION
    assert value not in str(caught.value)
    assert caught.value.__cause__ is None, "no other error with the value in it is told along"


async def test_the_last_line_break_of_a_secret_does_not_matter(tmp_path):
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "token").write_text("t0ken\n")
    ref = SecretKeyRef(name="crm", key="token")
    assert outbound.Secrets(tmp_path).bearer(ref) == {"authorization": "Bearer t0ken"}


async def test_an_endless_nest_is_no_answer():
    async with hostile(b"[" * 200_000 + b"]" * 200_000) as server:
        with pytest.raises(CallError, match="levels") as caught:
            await call(server.url)
    assert caught.value.kind == CallErrorKind.BAD_ANSWER


async def test_half_a_character_is_not_sent():
    spec = ToolSpec.model_validate({"name": "lookup", "http": {"url": "http://127.0.0.1:1/{x}"}})
    async with outbound.client() as http:
        with pytest.raises(CallError, match="no Unicode") as caught:
            await HTTPToolCaller(spec, http, outbound.Secrets(NOWHERE)).call({"x": "\ud800"}, "k")
    assert caught.value.kind == CallErrorKind.REFUSED


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "99999999999", "Mon, 01 Jan 99999 00:00:00 GMT"])
async def test_a_senseless_pause_does_not_hold_the_run(value):
    async with hostile(status=429, retry_after=value) as server:
        with pytest.raises(CallError) as caught:
            await call(server.url)
    assert caught.value.kind == CallErrorKind.RATE_LIMIT
    assert outbound.pause(caught.value, 10.0) in {True, False}


@pytest.mark.parametrize(
    "argument",
    ["@evil.example", "//evil.example", "\\\\evil.example", "%2e%2e", "a#b", "a?b=c", "a\tb", ":80", "{y}", "ä/../b"],
)
async def test_an_argument_stays_in_its_place(argument):
    async with tool_server() as service, outbound.client() as http:
        spec = ToolSpec.model_validate(
            {"name": "lookup", "http": {"url": f"{service.url}/in/{{x}}/end", "method": "GET", "maxAttempts": 1}}
        )
        await HTTPToolCaller(spec, http, outbound.Secrets(NOWHERE)).call({"x": argument}, "k")
    (got,) = service.calls
    assert got.path.startswith("/in/")
    assert got.path.endswith("/end")
    assert got.path.count("/") == 3
    assert got.query == ""
    assert got.headers["host"] == service.url.removeprefix("http://")


async def test_line_breaks_in_an_argument_make_no_header():
    spec = ToolSpec.model_validate({"name": "lookup", "http": {"url": "http://127.0.0.1/{x}?q={x}"}})
    async with outbound.client() as http:
        url, _ = HTTPToolCaller(spec, http, outbound.Secrets(NOWHERE))._address({"x": "a\r\nHost: evil"})
    assert url == "http://127.0.0.1/a%0D%0AHost%3A%20evil?q=a%0D%0AHost%3A%20evil"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://tools.example/x",
        "gopher://tools.example",
        "http://user:password@tools.example/x",
        "http://user@tools.example/x",
        "http://{host}/x",
        "{scheme}://tools.example/x",
        "http://tools.example:{port}/x",
        "http://tools.example#@evil.example/",
        "http:///x",
        "http://tools .example/x",
        "http://tools.example/x\r\nHost: y",
    ],
)
def test_an_address_that_is_refused_in_the_resource(url):
    with pytest.raises(ValueError, match="url"):
        ToolSpec.model_validate({"name": "lookup", "http": {"url": url}})
    if "{" not in url:
        with pytest.raises(ValueError, match="baseURL"):
            ModelSpec.model_validate({"name": "m", "model": "m", "baseURL": url})


@pytest.mark.parametrize("headers", [{"x\r\ny": "1"}, {"x y": "1"}, {"x": "1\r\ny: 2"}, {"x": "ü"}, {"": "1"}])
def test_a_header_that_is_none_is_refused_in_the_resource(headers):
    with pytest.raises(ValueError, match="headers"):
        ToolSpec.model_validate({"name": "lookup", "http": {"url": "http://tools.example", "headers": headers}})
