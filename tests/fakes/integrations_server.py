"""A service that offers what docs/integrations.openapi.json describes, and nothing else.

It refuses every request that the description does not allow, keeps what it was sent, does what has the same key once,
and can fail as real services do.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cluster.settings import REPOSITORY
from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

DESCRIPTION = REPOSITORY / "docs" / "integrations.openapi.json"
PREFIXES = {
    "communications": "communications",
    "bookings": "integrations",
    "knowledgeBase": "knowledge",
    "crm": "crm",
}
_PLAIN_HEADERS = {
    "host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length", "authorization",
    "traceparent", "tracestate",
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """An answer that is none, or that comes late; `delay` is in seconds."""

    status: int = 200
    retry_after: str | None = None
    delay: float = 0.0
    body: bytes | None = None
    lost: bool = False
    """The service does what it is asked, and then fails."""


@dataclass(frozen=True)
class Sent:
    """A request that fits the description."""

    operation: str
    path: dict[str, str]
    body: dict[str, Any]
    key: str | None
    authorization: str | None
    headers: dict[str, str]


@dataclass
class IntegrationsServer:
    """The service; `faults` are given to the next requests in turn."""

    faults: list[Fault] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of the answer by operation, over those that the description asks for."""
    url: str = ""
    sent: list[Sent] = field(default_factory=list)
    """Every request, repeated ones too."""
    done: list[Sent] = field(default_factory=list)
    """What was done: each key once."""
    violations: list[str] = field(default_factory=list)
    """What requests did that the description does not allow."""
    _by_key: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=lambda: json.loads(DESCRIPTION.read_text()))

    def address(self, integration: str) -> str:
        """Where one integration is offered."""
        return f"{self.url}/api/v1/{PREFIXES[integration]}"

    def spec(self, *integrations: str, **more: Any) -> dict[str, Any]:
        """`spec.integrations` for the given ones, or for all."""
        return {name: {"baseURL": self.address(name), **more} for name in integrations or PREFIXES}

    def app(self) -> Starlette:
        """The application."""
        routes = [
            Route(f"/api/v1{path}", self._handler(operation), methods=[method.upper()])
            for path, methods in self.description["paths"].items()
            for method, operation in methods.items()
        ]
        return Starlette(routes=[*routes, Route("/{path:path}", self._unknown, methods=["GET", "POST", "PATCH"])])

    async def _unknown(self, request: Request) -> Response:
        return self._refuse(f"there is no {request.method} {request.url.path}", 404)

    def _handler(self, operation: dict[str, Any]) -> Any:
        async def handle(request: Request) -> Response:
            fault = self.faults.pop(0) if self.faults else Fault()
            raw = await request.body()
            try:
                body = json.loads(raw)
            except ValueError:
                return self._refuse(f"{operation['operationId']}: the body is no JSON")
            if problem := self._problem(operation, request, body):
                return self._refuse(f"{operation['operationId']}: {problem}")
            sent = Sent(
                operation["operationId"],
                dict(request.path_params),
                body,
                request.headers.get("idempotency-key"),
                request.headers.get("authorization"),
                dict(request.headers),
            )
            self.sent.append(sent)
            await asyncio.sleep(fault.delay)
            headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
            if fault.status >= 400 and not fault.lost:
                return JSONResponse({"title": "secret-of-the-service"}, fault.status, headers)
            answer = self._answer(operation, sent)
            if fault.status >= 400:
                return JSONResponse({}, fault.status, headers)
            return JSONResponse(answer) if fault.body is None else Response(fault.body)

        return handle

    def _problem(self, operation: dict[str, Any], request: Request, body: Any) -> str:
        known = set(_PLAIN_HEADERS)
        for parameter in operation["parameters"]:
            name, header = parameter["name"], parameter["in"] == "header"
            known.add(name.lower())
            value = request.headers.get(name) if header else request.path_params.get(name)
            if value is None:
                return f"{name} is missing"
            if found := self._mismatch(parameter["schema"], value):
                return f"{name}: {found}"
        if unknown := sorted(set(request.headers) - known):
            return f"the header {unknown[0]} is not described"
        if request.url.query:
            return "a query is not described"
        return self._mismatch(operation["requestBody"]["content"]["application/json"]["schema"], body)

    def _mismatch(self, schema: dict[str, Any], value: Any) -> str:
        whole = {**schema, "components": self.description["components"]}
        checker = Draft202012Validator.FORMAT_CHECKER
        error = next(iter(Draft202012Validator(whole, format_checker=checker).iter_errors(value)), None)
        return "" if error is None else f"{error.json_path}: {error.message}"

    def _answer(self, operation: dict[str, Any], sent: Sent) -> dict[str, Any]:
        """What was answered to the same key, or a new answer that fits the description."""
        known = self._by_key.get((sent.operation, sent.key or ""))
        if known is not None:
            if known[0] != sent.body:
                self.violations.append(f"{sent.operation}: one key for two requests")
            return known[1]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        answer = self._example(schema, "") | self.answers.get(sent.operation, {})
        answer |= {"id": f"{sent.operation}-{len(self.done) + 1}"} if "id" in answer else {}
        if found := self._mismatch(schema, answer):
            raise AssertionError(f"the answer of {sent.operation} does not fit: {found}")
        self.done.append(sent)
        if sent.key:
            self._by_key[sent.operation, sent.key] = (sent.body, answer)
        return answer

    def _example(self, schema: dict[str, Any], name: str) -> Any:
        """The smallest value that fits a schema."""
        if "$ref" in schema:
            return self._example(self.description["components"]["schemas"][schema["$ref"].rpartition("/")[2]], name)
        if "enum" in schema:
            return schema["enum"][0]
        match schema["type"]:
            case "object":
                return {each: self._example(schema["properties"][each], each) for each in schema.get("required", ())}
            case "array":
                return []
            case kind:
                return {"integer": 1, "number": 1, "boolean": True}.get(kind, name or "text")

    def _refuse(self, reason: str, status: int = 400) -> Response:
        self.violations.append(reason)
        return JSONResponse({"title": "Bad Request", "detail": reason}, status)


@asynccontextmanager
async def integrations_server(*faults: Fault, **answers: dict[str, Any]) -> AsyncIterator[IntegrationsServer]:
    """The service on a free loopback port; at the end, nothing may have come that the description does not allow."""
    fake = IntegrationsServer(list(faults), answers)
    async with serving(fake.app()) as url:
        fake.url = url
        yield fake
    assert fake.violations == []
