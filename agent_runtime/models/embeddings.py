"""Vectors of texts, by any OpenAI-compatible endpoint. Source: OpenAI API reference, `POST /embeddings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime import outbound, plain
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.resilience.breakers import no_guard
from agent_runtime.resilience.spending import estimated, spending
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.breakers import Guard
    from agent_runtime.resilience.budgets import Budgets
    from agent_runtime.spec.model import ModelSpec

_AT_ONCE = 64
"""Texts of one request; most endpoints take more, but answers have a largest size."""


@dataclass(frozen=True)
class OpenAIEmbeddings:
    """Asks `POST {baseURL}/embeddings`."""

    spec: ModelSpec
    http: httpx.AsyncClient
    secrets: Secrets
    guard: Guard = no_guard
    budgets: Budgets | None = None

    @property
    def name(self) -> str:
        """The same for the same vectors, whatever the spec calls the model."""
        return f"model-{self.spec.model}"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vector of each text.

        Raises:
            CallError: The endpoint could not be reached, failed, or answered something else.
        """
        found: list[list[float]] = []
        for start in range(0, len(texts), _AT_ONCE):
            found += await self._embed(texts[start : start + _AT_ONCE])
        return found

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.budgets is None:
            return (await self._ask(texts))[0]
        price = self.spec.price
        estimate = sum(estimated(text) for text in texts)
        async with self.budgets.call(self.spec.name, spending(estimate, 0, price)) as bill:
            vectors, tokens = await self._ask(texts)
            bill.amount = spending(tokens or estimate, 0, price)
        return vectors

    async def _ask(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """The vectors, and the tokens that the endpoint counted, if it did."""
        ref, timeout = self.spec.api_key_secret_ref, seconds(self.spec.timeout)
        what = f"model {self.spec.name}"
        answer = await outbound.retried(
            lambda: outbound.request(
                self.http,
                "POST",
                f"{(self.spec.base_url or '').rstrip('/')}/embeddings",
                what=what,
                timeout=timeout,
                headers=self.secrets.bearer(ref) if ref else {},
                body={"model": self.spec.model, "input": list(texts), "encoding_format": "float"},
            ),
            attempts=self.spec.max_attempts,
            longest_pause=timeout,
            guard=self.guard,
            backoff=self.spec.backoff,
        )
        try:
            parsed: Any = plain.parse(answer)
            return _vectors(parsed, len(texts)), int((parsed.get("usage") or {}).get("prompt_tokens") or 0)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise CallError(CallErrorKind.BAD_ANSWER, f"{what} gave an answer that is no list of embeddings") from error


def _vectors(answer: Any, count: int) -> list[list[float]]:
    found: dict[int, list[float]] = {
        int(each["index"]): [float(number) for number in each["embedding"]] for each in answer["data"]
    }
    vectors = [found[number] for number in range(count)]
    if len({len(each) for each in vectors}) > 1:
        raise ValueError("vectors of several lengths")
    return vectors
