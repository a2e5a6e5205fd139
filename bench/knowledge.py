"""The knowledge base in MongoDB: loading and searching, with and without a vector index.

`python -m bench.knowledge --documents 10000`
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import statistics
import sys
import time
from secrets import token_hex
from unittest.mock import patch

from agent_runtime.integrations.knowledge.base import EVERYBODY, KnowledgeBase
from agent_runtime.integrations.knowledge.document import Document
from agent_runtime.integrations.knowledge.hashing import HashingEmbedding
from agent_runtime.integrations.knowledge.store import Index, PassageStore
from agent_runtime.integrations.knowledge_base import Search
from agent_runtime.state.connection import MongoConnection
from cluster.installation import mongodb_uri

_WORDS = 4000
_OF_DOCUMENT = 60
_OF_QUESTION = 6
_AT_ONCE = 100


async def no_index(_: PassageStore, __: int) -> Index:
    """In place of making one."""
    return "none"


def documents(count: int) -> list[Document]:
    """Texts of made-up words, some more frequent than others, as in languages."""
    chosen = random.Random(1)  # noqa: S311 - only a choice
    letters = "abcdefghijklmnoprstuvwz"
    words = ["".join(chosen.choices(letters, k=chosen.randint(3, 11))) for _ in range(_WORDS)]
    weights = [1 / (place + 3) for place in range(_WORDS)]
    return [
        Document(id=f"d{number}", text=" ".join(chosen.choices(words, weights, k=_OF_DOCUMENT)))
        for number in range(count)
    ]


async def measure(uri: str, texts: list[Document], searches: int) -> None:
    """Loads all texts, and asks for some by a few of their words."""
    connection = MongoConnection(lambda: uri, f"bench_{token_hex(4)}")
    store = PassageStore(connection, "bench/knowledge")
    knowledge = KnowledgeBase(store, HashingEmbedding())
    try:
        start = time.perf_counter()
        for first in range(0, len(texts), _AT_ONCE):
            await knowledge.load(texts[first : first + _AT_ONCE], EVERYBODY)
        loaded = time.perf_counter() - start
        chosen = random.Random(2)  # noqa: S311 - only a choice
        times, hits = [], 0
        for _ in range(searches):
            wanted = chosen.choice(texts)
            question = " ".join(chosen.sample(wanted.text.split(), _OF_QUESTION))
            start = time.perf_counter()
            found = await knowledge.search(Search(query=question, limit=5), None)
            times.append(time.perf_counter() - start)
            hits += wanted.id in [each.id for each in found]
        kind = await store.kind()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(
            f"index {kind.index if kind else '?'}: {len(texts)} documents loaded in {loaded:.1f} s; search p50 "
            f"{p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms; the document among the first five in {hits} of {searches}; "
            f"largest memory {memory:.0f} MiB",
            flush=True,
        )
    finally:
        await connection.database.client.drop_database(connection.name)
        await connection.close()


def main() -> None:
    """Prints one line with the server's index, and one without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=50)
    given = parser.parse_args()
    texts = documents(given.documents)
    # As in the agents' image, which has none.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    with mongodb_uri() as uri:
        with patch.object(PassageStore, "_make_index", no_index):
            asyncio.run(measure(uri, texts, given.searches))
        asyncio.run(measure(uri, texts, given.searches))


if __name__ == "__main__":
    main()
