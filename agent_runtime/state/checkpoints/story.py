"""A log as a whole, to be told anew: with fewer checkpoints, or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent_runtime.state.checkpoints import archive, values
from agent_runtime.state.checkpoints.tail import Checkpointed, Draft, Tail, Written

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from langgraph.checkpoint.serde.base import SerializerProtocol

    from agent_runtime.state.checkpoints.frame import Frame
    from agent_runtime.state.checkpoints.history import History
    from agent_runtime.state.checkpoints.values import Value

_COUNTERS = "counters_since_delta_snapshot"
"""Names in LangGraph's metadata the channels that are made up of earlier checkpoints' writes."""


@dataclass(frozen=True)
class Episode:
    """A checkpoint with its values, and what tasks wrote at it."""

    frame: Frame
    values: Mapping[str, Value]
    writes: Sequence[Written]


@dataclass(frozen=True)
class Retold:
    """What is to be written so that a log tells a story."""

    tail: Tail
    segments: Mapping[int, Mapping[str, Any]]
    blobs: Mapping[str, bytes]


def shown(frames: Sequence[Frame]) -> Sequence[Frame]:
    """The checkpoints that are not hidden."""
    return [frame for frame in frames if not frame.hidden]


async def read(history: History, frames: Sequence[Frame]) -> list[Episode]:
    """The episodes of these checkpoints."""
    return [
        Episode(frame, await history.values(frame), _written(frame.id, await history.read_writes(frame.id)))
        for frame in frames
    ]


def kept(frames: Sequence[Frame], wanted: Collection[str]) -> list[Frame]:
    """Of a log's checkpoints, in their order, the wanted ones, and hidden those that they are made of."""
    by_id = {frame.id: frame for frame in frames}
    needed: set[str] = set()
    for name in wanted:
        frame = by_id[name]
        missing = set(frame.metadata.get(_COUNTERS) or ()) - frame.refs.keys()
        while missing and (parent := by_id.get(frame.parent or "")):
            frame = parent
            needed.add(frame.id)
            missing -= frame.refs.keys()
    return [
        frame if frame.id in wanted or frame.hidden else replace(frame, hidden=True)
        for frame in frames
        if frame.id in wanted or frame.id in needed
    ]


class Teller:
    """Tells episodes as a log, one by one."""

    def __init__(self, start: Tail, serde: SerializerProtocol, digest_key: bytes) -> None:
        """`start` is empty."""
        self._serde = serde
        self._digest_key = digest_key
        self._draft = Draft(start, serde, digest_key)
        self._placed: dict[str, Frame] = {}
        self._segments: dict[int, Mapping[str, Any]] = {}
        self._blobs: dict[str, bytes] = {}

    def add(self, episode: Episode) -> None:
        """Goes on with an episode."""
        if self._draft.full:
            self._turn()
        draft, frame = self._draft, episode.frame
        bare = Checkpointed(replace(frame, refs={}), episode.values, {})
        draft.put(bare, self._placed.get(frame.parent or ""))
        assert draft.newest is not None  # noqa: S101 - put just now
        self._placed[frame.id] = draft.newest
        for written in episode.writes:
            draft.write(written)

    def end(self) -> Retold:
        """What was told."""
        return Retold(self._draft.tail, self._segments, self._blobs | self._draft.blobs)

    def _turn(self) -> None:
        told = self._draft.tail
        self._segments[told.next] = archive.segment(told.head, told.base, told.plain)
        self._placed = {name: frame.archived(told.next) for name, frame in self._placed.items()}
        self._blobs |= self._draft.blobs
        self._draft = Draft(told.archived(self._serde), self._serde, self._digest_key)


def _written(name: str, writes: Sequence[tuple[Any, bytes]]) -> list[Written]:
    by_task: dict[tuple[str, str], list[tuple[int, str, Value]]] = {}
    for write, packed in writes:
        value = values.unpack(packed, values.no_base)
        by_task.setdefault((write.task, write.path), []).append((write.at, write.channel, value))
    return [Written(name, task, path, found) for (task, path), found in by_task.items()]
