"""A chat model whose calls have to fit into budgets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from pydantic import ConfigDict

from agent_runtime.models.chat import AsyncChatModel
from agent_runtime.resilience.budgets import Bill, Budgets
from agent_runtime.resilience.spending import Spending, estimated, spending
from agent_runtime.spec.model import ModelSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

_ANSWER = 1024
"""Tokens that are reserved for an answer of a model without `maxTokens`."""


class BudgetedChatModel(AsyncChatModel):
    """Asks another model if the budgets allow it. Where that counts no tokens, they are estimated."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inner: BaseChatModel
    spec: ModelSpec
    budgets: Budgets

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type  # noqa: SLF001 - what wraps a model speaks for it

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        sent = _sent(messages, kwargs)
        async with self.budgets.call(self.spec.name, self._estimate(sent)) as bill:
            result = await self.inner._agenerate(messages, stop, run_manager, **kwargs)  # noqa: SLF001
            self._charge(bill, result.generations[0].message, sent)
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        sent, whole = _sent(messages, kwargs), None
        async with self.budgets.call(self.spec.name, self._estimate(sent)) as bill:
            async for chunk in self.inner._astream(messages, stop, run_manager, **kwargs):  # noqa: SLF001
                whole = chunk if whole is None else whole + chunk
                # With each part, since the client may go away at any.
                self._charge(bill, whole.message, sent)
                yield chunk

    def _estimate(self, sent: int) -> Spending:
        return spending(sent, self.spec.max_tokens or _ANSWER, self.spec.price)

    def _charge(self, bill: Bill, message: BaseMessage, sent: int) -> None:
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        if usage and usage["total_tokens"]:
            given, answered = usage["input_tokens"], usage["output_tokens"]
        else:
            given, answered = sent, estimated(str(message.text))
        bill.amount = spending(given, answered, self.spec.price)


def _sent(messages: Sequence[BaseMessage], options: dict[str, Any]) -> int:
    """Tokens that a request probably has."""
    tools = options.get("tools")
    return sum(estimated(str(message.text)) for message in messages) + (estimated(json.dumps(tools)) if tools else 0)
