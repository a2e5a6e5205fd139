"""What every store promises; tests/integration/test_runtime_store.py tries the same cases on MongoDB."""

from __future__ import annotations

import pytest

from agent_runtime.state.memory import MemoryStore
from fakes.store_contract import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_store(case):
    store = MemoryStore()
    await store.prepare()
    await case(store)
