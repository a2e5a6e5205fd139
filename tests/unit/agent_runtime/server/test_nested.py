from __future__ import annotations

import pytest

from fakes.agents import running
from fakes.nested_cases import CASES, GRAPH


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_graphs_within_graphs(case):
    async with running({"graph": GRAPH}) as it:
        await case(it.client)


async def test_a_graph_whose_types_have_no_schema_is_told_all_the_same():
    async with running({"graph": GRAPH}) as it:
        schemas = await it.client.assistants.get_schemas("agent")
        assert schemas["graph_id"] == "agent"
        assert (await it.client.assistants.get_subgraphs("agent")).keys() == {"inner"}
