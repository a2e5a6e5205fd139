from __future__ import annotations

import pytest

from agent_runtime.crons.memory import MemoryCrons
from fakes.cron_contract import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_crons_in_memory(case):
    await case(MemoryCrons())
