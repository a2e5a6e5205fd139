"""The official suite for checkpointers, with all its optional parts, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from agent_runtime.state.checkpoints.saver import MongoSaver
from fakes.databases import database


async def test_the_checkpointer_passes_the_official_suite(mongodb_uri: str):
    @checkpointer_test(name="MongoSaver")
    async def savers() -> AsyncIterator[MongoSaver]:
        async with database(mongodb_uri) as connection:
            yield MongoSaver(connection, "shop/helper")

    report = await validate(savers)

    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    assert {name for name, result in report.results.items() if result.passed} == {one.value for one in Capability}
