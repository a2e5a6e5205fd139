"""Which of many vectors are most like one: all are compared, so that none is missed."""

from __future__ import annotations

import heapq
import struct
from array import array
from functools import cache
from operator import itemgetter, mul
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from agent_runtime.integrations.knowledge.embedding import Vector

Candidate = tuple[str, bytes]
"""An id and its vector, packed."""

_LARGEST = 127
_HEAD = 4
"""Bytes of the factor."""


async def nearest(wanted: Vector, batches: AsyncIterator[Sequence[Candidate]], limit: int) -> list[tuple[str, float]]:
    """The ids of the most similar vectors with their cosine, the best first; all vectors are of length one."""
    best: list[tuple[float, str]] = []
    async for batch in batches:
        fitting = [one for one in batch if len(one[1]) == _HEAD + len(wanted)]
        scored = zip(cosines(wanted, [packed for _, packed in fitting]), (name for name, _ in fitting), strict=True)
        best = heapq.nlargest(limit, [*best, *scored])
    return [(name, score) for score, name in best]


def pack(vector: Vector) -> bytes:
    """A vector in a quarter of its room: a factor, and numbers from -127 to 127. Cosines are right to about 0.001."""
    factor = max(map(abs, vector)) / _LARGEST or 1.0
    return struct.pack("<f", factor) + array("b", [round(number / factor) for number in vector]).tobytes()


def cosines(wanted: Vector, packed: Sequence[bytes]) -> list[float]:
    """The cosine of each packed vector with one."""
    numpy = _numpy()
    if numpy is None or not packed:
        return _plain_cosines(wanted, packed)
    rows = numpy.frombuffer(b"".join(packed), dtype=numpy.uint8).reshape(len(packed), -1)
    factors = rows[:, :_HEAD].copy().view("<f4").ravel()
    numbers = rows[:, _HEAD:].view(numpy.int8).astype("f4")
    found: list[float] = ((numbers @ numpy.asarray(wanted, dtype="f4")) * factors).tolist()
    return found


def _plain_cosines(wanted: Vector, packed: Sequence[bytes]) -> list[float]:
    numbers: Sequence[float] = wanted
    places = [place for place, number in enumerate(wanted) if number]
    pick: Callable[[Any], Sequence[int]] = tuple
    if 1 < len(places) < len(wanted) // 2:
        # As of a question's vector by hashing, of which nearly all numbers are zero.
        numbers, pick = [wanted[place] for place in places], itemgetter(*places)
    found = []
    for one in packed:
        (factor,) = struct.unpack_from("<f", one)
        found.append(factor * sum(map(mul, numbers, pick(array("b", one[_HEAD:])))))
    return found


@cache
def _numpy() -> ModuleType | None:
    """Where it is installed: some 20 times as fast."""
    try:
        import numpy as np  # noqa: PLC0415 - loaded only by agents that search this way
    except ImportError:
        return None
    return np
