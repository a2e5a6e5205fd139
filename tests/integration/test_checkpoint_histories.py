"""The checkpointer against LangGraph's own in memory, over histories made at random: forks, namespaces, writes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver

from agent_runtime.state.checkpoints import tail
from agent_runtime.state.checkpoints.saver import MongoSaver
from fakes.databases import database

_CHANNELS = ("messages", "facts", "count", "text", "blob")


@dataclass
class _Known:
    """A checkpoint that was made."""

    config: dict[str, Any]
    values: dict[str, Any]
    versions: dict[str, int]


@dataclass
class _Teller:
    """Makes the same history in two checkpointers."""

    savers: tuple[BaseCheckpointSaver[Any], ...]
    rng: random.Random
    known: dict[str, list[_Known]] = field(default_factory=dict)
    versions: int = 0

    async def step(self) -> None:
        namespace = self.rng.choice(["", "", "", "child:1"])
        made = self.known.setdefault(namespace, [])
        config: dict[str, Any] = {"configurable": {"thread_id": "t", "checkpoint_ns": namespace}}
        values: dict[str, Any] = {}
        versions: dict[str, int] = {}
        if made:
            parent = self.rng.choice(made) if self.rng.random() < 0.15 else made[-1]
            config, values, versions = parent.config, dict(parent.values), dict(parent.versions)
        changed = self.rng.sample(_CHANNELS, self.rng.randint(0, 3))
        fresh = {}
        for channel in changed:
            # Of its own for each write: LangGraph's checkpointer in memory keeps one value for each version.
            self.versions += 1
            fresh[channel] = versions[channel] = self.versions
            values[channel] = self.changed(channel, values.get(channel))
            if values[channel] is None:
                del values[channel]
        checkpoint = {
            "v": 4,
            "id": str(uuid6(clock_seq=1)),
            "ts": "2026-11-21T08:00:00+00:00",
            "channel_values": values,
            "channel_versions": versions,
            "versions_seen": {"node": dict(versions)},
            "updated_channels": changed,
        }
        metadata = {"source": "loop", "step": len(made), "parents": {}, "run_id": f"run-{len(made) // 7}"}
        for saver in self.savers:
            stored = await saver.aput(config, checkpoint, metadata, fresh)
        made.append(_Known(stored, values, versions))

    def changed(self, channel: str, old: Any) -> Any:
        word = "".join(self.rng.choices("abcdefgh ", k=self.rng.randint(0, 60)))
        if channel == "messages":
            messages = list(old or [])
            match self.rng.random():
                case chance if chance < 0.7:
                    messages += [HumanMessage(word, id=str(UUID(int=self.rng.getrandbits(128)))), AIMessage(word * 3)]
                case chance if chance < 0.8:
                    messages = messages[len(messages) // 3 :]
                case chance if chance < 0.9 and messages:
                    messages[self.rng.randrange(len(messages))] = HumanMessage(word)
                case _:
                    self.rng.shuffle(messages)
            return messages
        if channel == "facts":
            facts = {**(old or {}), self.rng.randrange(30): word, word: None, "nested": {"word": [word, 1, 2.5, True]}}
            if self.rng.random() < 0.2:
                facts.pop("nested")
            return facts
        if channel == "count":
            return self.rng.choice([None, 1, True, 1.0, 0.5, [1, 2, 3], (1, 2), [], {}])
        if channel == "blob":
            return self.rng.randbytes(self.rng.choice([0, 10, 9000, 30000]))
        return self.rng.choice([old, word])

    async def write(self) -> None:
        namespace = self.rng.choice(list(self.known))
        config = self.known[namespace][-1 if self.rng.random() < 0.8 else 0].config
        channels = self.rng.sample([*_CHANNELS, "__error__", "__interrupt__"], self.rng.randint(1, 3))
        writes = [(channel, self.changed(channel, None)) for channel in channels]
        task, path = f"task-{self.rng.randrange(3)}", self.rng.choice(["", "~a", "~b"])
        for saver in self.savers:
            await saver.aput_writes(config, writes, task, path)


def _told(found: CheckpointTuple | None) -> Any:
    if found is None:
        return None
    configurable = (found.config["configurable"], (found.parent_config or {}).get("configurable"))
    ids = [one and one.get("checkpoint_id") for one in configurable]
    # In one order: only within values it means something.
    values = sorted(found.checkpoint["channel_values"].items())
    rest = sorted((name, value) for name, value in found.checkpoint.items() if name != "channel_values")
    plain = {name: sorted(value.items()) if name == "channel_versions" else value for name, value in rest}
    plain["versions_seen"] = {name: sorted(seen.items()) for name, seen in plain["versions_seen"].items()}
    return ids, values, plain, sorted(found.metadata.items()), found.pending_writes


def _exact(value: Any) -> str:
    """With the types, since 1 equals True."""
    return repr(value)


async def _all(saver: BaseCheckpointSaver[Any], namespace: str, **options: Any) -> list[Any]:
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": namespace}}
    return [_told(found) async for found in saver.alist(config, **options)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("head_bytes", [2_000, 12_000])
async def test_a_history_reads_as_it_was_told(
    mongodb_uri: str, seed: int, head_bytes: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tail, "HEAD_BYTES", head_bytes)
    rng = random.Random(seed)  # noqa: S311 - a game, no secret
    async with database(mongodb_uri) as connection:
        mine, other = MongoSaver(connection, "shop/helper"), InMemorySaver()
        teller = _Teller((mine, other), rng)
        for _ in range(60):
            await teller.step()
            for _ in range(rng.choice([0, 1, 1, 3])):
                await teller.write()
            if rng.random() < 0.1:
                # As another process would, which remembers nothing.
                mine = MongoSaver(connection, "shop/helper")
                teller.savers = (mine, other)

        for saver in (mine, MongoSaver(connection, "shop/helper")):
            for namespace, made in teller.known.items():
                assert _exact(await _all(saver, namespace)) == _exact(await _all(other, namespace))
                for one in rng.sample(made, 5):
                    assert _exact(_told(await saver.aget_tuple(one.config))) == _exact(
                        _told(await other.aget_tuple(one.config))
                    )
                    before = {"before": one.config, "limit": 4}
                    assert _exact(await _all(saver, namespace, **before)) == _exact(
                        await _all(other, namespace, **before)
                    )
                    asked = {"config": one.config, "channels": list(_CHANNELS)}
                    told = await saver.aget_delta_channel_history(**asked)
                    assert _exact(told) == _exact(await other.aget_delta_channel_history(**asked))
