"""Texts as vectors of length one, such that similar texts have similar vectors."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Protocol, TypeAlias

from agent_runtime.errors import CallError, CallErrorKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_runtime.models.embeddings import OpenAIEmbeddings

Vector: TypeAlias = "array[float]"
"""Numbers of 32 bits."""


class Embedding(Protocol):
    """A way to make vectors; those of different names can't be compared."""

    @property
    def name(self) -> str:
        """Which way it is."""

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One vector of length one for each text. Raises CallError."""


class ModelEmbedding:
    """Vectors of a model."""

    def __init__(self, model: OpenAIEmbeddings) -> None:
        self._model = model
        self.name = model.name

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One vector of length one for each text. Raises CallError."""
        return [normal(numbers) for numbers in await self._model.embed(texts)]


def normal(numbers: Sequence[float]) -> Vector:
    """The vector of length one in the same direction; raises CallError if there is none."""
    length = math.sqrt(math.fsum(number * number for number in numbers))
    if not length or not math.isfinite(length):
        raise CallError(CallErrorKind.BAD_ANSWER, "a text was embedded as a vector without a direction")
    return array("f", [number / length for number in numbers])
