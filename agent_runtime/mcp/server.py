"""One MCP server that the agent uses.

Each call has a session of its own, so that what a server keeps in a session never passes from one caller to another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx2
import structlog
from mcp import MCPError, ServerCapabilities
from mcp.client import Client, IncomingMessage
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    HEADER_MISMATCH,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    ToolListChangedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter

from agent_runtime import outbound
from agent_runtime.a2a.protocol import TIMEOUT_HEADER
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.loops import Loop
from agent_runtime.mcp.failures import call_error
from agent_runtime.mcp.meta import KEY
from agent_runtime.mcp.offer import Offered, listed
from agent_runtime.mcp.transport import GuardedTransport
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import httpx
    from mcp.client import ClientSession
    from mcp_types import Tool

    from agent_runtime.mcp.metrics import MCPMetrics
    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.breakers import Guard
    from agent_runtime.spec.mcp import MCPServerSpec

log = structlog.get_logger()

# It logs with tracebacks what is raised here in words.
logging.getLogger("mcp").setLevel(logging.CRITICAL)

_WAIT = 86400.0
_PAUSE = 5.0
"""Seconds between attempts to reach a server whose tools are not known, and between questions for a missing tool."""
_LARGEST_EVENT = outbound.MAX_ANSWER_BYTES
_ANSWER: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(CallToolResult | InputRequiredResult)


class MCPServer:
    """Its tools, as it last listed them, and calls of them."""

    def __init__(
        self, spec: MCPServerSpec, http: httpx.AsyncClient, secrets: Secrets, guard: Guard, metrics: MCPMetrics
    ) -> None:
        self.spec = spec
        self.what = f"MCP server {spec.name}"
        self.http = http
        self._secrets = secrets
        self._guard = guard
        self._metrics = metrics
        self._timeout = seconds(spec.timeout)
        self._tools: dict[str, Tool] | None = None
        self._offered: dict[str, Offered] = {}
        self._listed_at = 0.0
        self._listing = asyncio.Lock()
        self._mode = "auto"
        """How to begin a session: `auto` until the server has been asked what it speaks."""

    async def offered(self, name: str) -> Offered:
        """A tool as the server describes it.

        Raises:
            CallError: The server has none of the name, or could not be asked; or its description can't be used.
        """
        async with self._listing:
            known = self._tools
            if known is None or (name not in known and time.monotonic() > self._listed_at + _PAUSE):
                known = await self._retried(self._list, self._headers(self._timeout), self._timeout)
                self._learn(known)
        tool = known.get(name)
        if tool is None:
            others = f" (there are: {', '.join(sorted(known)[:20])})" if known else ""
            raise CallError(CallErrorKind.REFUSED, f"{self.what} has no tool {name}{others}")
        if name not in self._offered:
            self._offered[name] = Offered.read(tool, f"tool {name} of {self.what}")
        return self._offered[name]

    async def call(self, name: str, arguments: Mapping[str, Any], key: str) -> CallToolResult:
        """What a tool answers; `key` tells a repeated call from a new one.

        Raises:
            CallError: The server could not be asked, or did not answer within the limit, or refused.
        """
        repeatable = (await self.offered(name)).repeatable
        left = outbound.baggage.get().left
        limit = self._timeout if left is None else min(self._timeout, left)
        passed_on = outbound.passed_on()
        trace = {name: passed_on[name] for name in ("traceparent", "tracestate") if name in passed_on}
        params = CallToolRequestParams(name=name, arguments=dict(arguments), _meta={**trace, KEY: key})
        request = CallToolRequest(params=params)

        async def ask(session: ClientSession) -> CallToolResult:
            return await _asked(session, request, self.what)

        headers = {**self._headers(limit), "idempotency-key": key}
        with self._metrics.call(self.spec.name):
            answer: CallToolResult = await self._retried(ask, headers, limit, repeatable=repeatable)
        return answer

    async def watch(self) -> None:
        """Keeps the list of tools up to date, until it is cancelled."""
        loop = Loop("MCP servers")
        while True:
            async with loop.turn():
                try:
                    await self._follow()
                except CallError as error:
                    log.info("the tools of an MCP server are not known", server=self.spec.name, quoted=str(error))
            await asyncio.sleep(_PAUSE)

    async def _follow(self) -> None:
        """Lists the tools at every change that the server tells, and otherwise after a while. Raises CallError."""
        changed = asyncio.Event()
        transport = self._transport(self._headers(None), _WAIT)

        async def hear(message: IncomingMessage) -> None:
            if isinstance(message, ToolListChangedNotification):
                changed.set()

        try:
            async with (
                asyncio.timeout(None) as clock,
                self._session(transport, clock, hear) as client,
                _listening(client, changed),
            ):
                while True:
                    changed.clear()
                    async with asyncio.timeout(self._timeout):
                        self._learn(await self._list(client.session))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds(self.spec.refresh)):
                            await changed.wait()
        except Exception as error:
            self._mode = "auto"
            raise call_error(error, self.what, transport.failure, self._timeout) from error

    async def _list(self, session: ClientSession) -> dict[str, Tool]:
        return await listed(session, self.what)

    def _learn(self, tools: dict[str, Tool]) -> None:
        if tools != self._tools:
            self._tools, self._offered = tools, {}
        self._listed_at = time.monotonic()
        self._metrics.listed(self.spec.name, len(tools))

    async def _retried(
        self,
        ask: Callable[[ClientSession], Any],
        headers: Mapping[str, str],
        limit: float,
        *,
        repeatable: bool = True,
    ) -> Any:
        transport = self._transport(headers, limit)
        reached = False

        async def once() -> Any:
            nonlocal transport, reached
            transport, reached = self._transport(headers, limit), False
            try:
                async with asyncio.timeout(limit) as clock, self._session(transport, clock) as client:
                    reached = True
                    return await ask(client.session)
            except Exception as error:
                failure = call_error(error, self.what, transport.failure, limit)
                if failure.kind in {CallErrorKind.REFUSED, CallErrorKind.BAD_ANSWER}:
                    # It may have been replaced by a server that speaks another version.
                    self._mode = "auto"
                raise failure from error

        return await outbound.retried(
            once,
            attempts=self.spec.max_attempts,
            longest_pause=limit,
            guard=self._guard,
            backoff=self.spec.backoff,
            may_repeat=lambda: repeatable or not reached or transport.unheard,
        )

    @asynccontextmanager
    async def _session(
        self, transport: GuardedTransport, clock: asyncio.Timeout, hear: Any = None
    ) -> AsyncIterator[Client]:
        """A session. Where `clock` has no end, beginning it has the server's limit."""
        http = httpx2.AsyncClient(transport=transport, timeout=None, trust_env=False)
        streams = streamable_http_client(self.spec.url, http_client=http, max_sse_event_size=_LARGEST_EVENT)
        about = Implementation(name="apm-agent", version="1")
        client = Client(streams, mode=self._mode, cache=None, client_info=about, message_handler=hear)
        now = asyncio.get_running_loop().time()
        endless = clock.when() is None
        if endless:
            clock.reschedule(now + self._timeout)
        async with http, client:
            if endless:
                clock.reschedule(None)
            version = client.protocol_version
            self._mode = version if version in MODERN_PROTOCOL_VERSIONS else "legacy"
            yield client

    def _transport(self, headers: Mapping[str, str], limit: float) -> GuardedTransport:
        return GuardedTransport(self.http, self.what, headers, self._credentials, limit)

    def _headers(self, limit: float | None) -> dict[str, str]:
        own = {name.lower(): value for name, value in self.spec.headers.items()}
        time_limit = {TIMEOUT_HEADER: f"{limit:.3f}"} if limit is not None else {}
        return {**own, **outbound.passed_on(), **time_limit}

    def _credentials(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self.spec.bearer_token_secret_ref is not None:
            headers |= self._secrets.bearer(self.spec.bearer_token_secret_ref)
        for header in self.spec.secret_headers:
            headers[header.name.lower()] = self._secrets.line(header.secret_key_ref)
        return headers


async def _asked(session: ClientSession, request: CallToolRequest, what: str) -> CallToolResult:
    try:
        answer = await session.send_request(request, _ANSWER)
    except MCPError as error:
        if error.code != HEADER_MISMATCH:
            raise
        # It wants arguments repeated in headers, which the session learns from its own list of tools.
        await listed(session, what)
        answer = await session.send_request(request, _ANSWER)
    if isinstance(answer, InputRequiredResult):
        raise CallError(CallErrorKind.REFUSED, f"{what} asks for the answer of a person, which agents don't give")
    return answer


@asynccontextmanager
async def _listening(client: Client, changed: asyncio.Event) -> AsyncIterator[None]:
    """Hears of changes inside; servers of older versions tell the session's handler."""
    capabilities: ServerCapabilities = client.server_capabilities
    tells = capabilities.tools is not None and bool(capabilities.tools.list_changed)
    if not tells or client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        yield
        return
    async with client.listen(tools_list_changed=True) as news, asyncio.TaskGroup() as group:

        async def hear() -> None:
            async for _ in news:
                changed.set()

        task = group.create_task(hear())
        yield
        task.cancel()
