"""Vectors without a model: words and parts of words, each at the place that its hash names.

Deterministic, and the same in every process. It finds texts that share words or their stems, not meanings.
"""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING

from agent_runtime.integrations.knowledge.embedding import Vector, normal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DIMENSIONS = 1024
_WORD = re.compile(r"\w+")
_WEIGHTS = {1: 0.1, 2: 0.2, 3: 0.5}
"""Of short words, which mostly say little, as articles and prepositions do; of all others 1."""
_PART = 3
_OF_PARTS = 0.8
"""Weight of all parts of a word together; they find other forms of it, and compounds."""
_AT_ONCE = 50


class HashingEmbedding:
    """Counts words and their parts."""

    name = f"hashing-1-{DIMENSIONS}"

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One vector of length one for each text."""
        found = []
        for number, text in enumerate(texts):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others have their turn
            found.append(vector(text))
        return found


def vector(text: str) -> Vector:
    """The vector of a text; of one without any word, always the same one."""
    numbers = [0.0] * DIMENSIONS
    weights: dict[str, float] = {}
    counts: Counter[str] = Counter()
    for feature, weight in _features(text):
        weights[feature] = weight
        counts[feature] += 1
    for feature, count in counts.items():
        hashed = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest())
        # Half of the features count down, so that those that meet at a place by chance even out.
        sign = 1.0 if hashed & 1 else -1.0
        numbers[(hashed >> 1) % DIMENSIONS] += sign * weights[feature] * (1.0 + math.log(count))
    if not any(numbers):
        numbers[0] = 1.0
    return normal(numbers)


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in _WORD.findall(_plain(text)):
        weight = _WEIGHTS.get(len(word), 1.0)
        yield word, weight
        if len(word) >= _PART:
            whole = f"^{word}$"
            parts = [whole[start : start + _PART] for start in range(len(whole) - _PART + 1)]
            for part in parts:
                yield f"/{part}", weight * _OF_PARTS / math.sqrt(len(parts))


def _plain(text: str) -> str:
    """Small letters without accents, so that `Ubung` finds what `Übung` is about."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))
