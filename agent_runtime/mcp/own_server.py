"""The agent as an MCP server, which keeps nothing between two requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server.lowlevel import Server
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from agent_runtime.errors import AgentError, InputError
from agent_runtime.mcp import meta, telling
from agent_runtime.mcp.calls import Begun, Calls
from agent_runtime.mcp.own_tools import OwnTools
from agent_runtime.runs.spoken import Spoken, silent_nodes

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from agent_runtime.agent import Agent
    from agent_runtime.runs.caller import Caller
    from agent_runtime.state.records import Run

    Context = ServerRequestContext[Any, Any]


class OwnServer:
    """Lists the agent's tools, and carries calls out."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.calls = Calls(agent)
        self._tools: OwnTools | None = None
        self.server: Server[Any] = Server(
            agent.config.agent.name,
            description=agent.config.spec.description or None,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _own_tools(self) -> OwnTools:
        if self._tools is None:
            about = self._agent.config
            self._tools = await OwnTools.of(about.agent.name, about.spec, self._agent.graph)
        return self._tools

    async def _list(self, _: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=(await self._own_tools()).listed())

    async def _call(self, context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        tools = await self._own_tools()
        caller: Caller = context.request.state.caller  # type: ignore[union-attr] # there is one over HTTP
        try:
            if params.request_state is not None and params.name == tools.name:
                return await self._answered(context, params, tools, caller)
            if params.name == tools.name:
                key = caller.key or _text((params.meta or {}).get(meta.KEY))
                known_by = replace(caller, key=context.request.state.known_by or key)  # type: ignore[union-attr]
                follows = _wants_progress(params)
                begun = await self.calls.begin(tools, params.arguments or {}, known_by, key, follows=follows)
                return await self._followed(context, begun, tools, tells=follows)
            if params.name == tools.answering and tools.asks:
                run = await self._answer_of(params.arguments or {}, caller)
                return await self._followed(context, Begun(run, lone=False), tools, tells=_wants_progress(params))
        except AgentError as error:
            return telling.failed(str(error))
        raise MCPError(INVALID_PARAMS, f"there is no tool {params.name[:100]}: this server has {tools.name}")

    async def _answer_of(self, arguments: dict[str, Any], caller: Caller) -> Run:
        thread, question = _text(arguments.get("thread")), _text(arguments.get("question"))
        if thread is None or "answer" not in arguments:
            raise InputError("`thread` must be a text, and `answer` must be given")
        return await self.calls.answer(thread, question, arguments["answer"], caller)

    async def _answered(
        self, context: Context, params: CallToolRequestParams, tools: OwnTools, caller: Caller
    ) -> CallToolResult | InputRequiredResult:
        """Goes on with what the person at the client has answered."""
        ended: CallToolResult | InputRequiredResult | None = None
        for question, response in (params.input_responses or {}).items():
            if not isinstance(response, ElicitResult) or response.action != "accept":
                name = response.action if isinstance(response, ElicitResult) else "nothing"
                return telling.failed(
                    f"the question was not answered ({name}) and stays open: call the tool {tools.answering} with "
                    f"thread {params.request_state}, question {question}"
                )
            given: Any = response.content or {}
            answer = given[telling.ANSWER] if given.keys() == {telling.ANSWER} else given
            run = await self.calls.answer(params.request_state or "", question, answer, caller)
            ended = await self._followed(context, Begun(run, lone=False), tools, tells=_wants_progress(params))
        if ended is None:
            raise InputError("`inputResponses` holds no answer")
        return ended

    async def _followed(
        self, context: Context, begun: Begun, tools: OwnTools, *, tells: bool
    ) -> CallToolResult | InputRequiredResult:
        """What the run ends with; it is ended where the client goes away or cancels the call."""
        agent = self._agent
        try:
            async with asyncio.timeout(agent.settings.follow_limit):
                if tells:
                    await self._tell(context, begun.run)
                values = await agent.runs.wait(begun.run)
        except TimeoutError:
            self.calls.abandon(begun.run)
            return telling.failed("the run takes longer than an answer is waited for")
        except asyncio.CancelledError:
            self.calls.abandon(begun.run)
            raise
        if values.get(telling.INTERRUPT):
            capabilities = context.session.client_capabilities
            by_form = context.protocol_version in MODERN_PROTOCOL_VERSIONS and capabilities and capabilities.elicitation
            return (telling.elicited(values, begun.run) if by_form else None) or telling.told(values, begun.run, tools)
        self.calls.forget(begun)
        return telling.told(values, begun.run, tools)

    async def _tell(self, context: Context, run: Run) -> None:
        """Sends what the agent says, as it says it."""
        spoken, count = Spoken(silent_nodes(self._agent.config.spec)), 0
        async for event in self._agent.runs.events(run):
            for piece in spoken.pieces(event.name, event.data):
                if piece.text:
                    count += 1
                    await context.session.report_progress(count, message=piece.text)


def _wants_progress(params: CallToolRequestParams) -> bool:
    told = params.meta or {}
    return told.get("progress_token", told.get("progressToken")) is not None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
