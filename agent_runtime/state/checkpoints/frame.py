from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_runtime.state.checkpoints import delta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langgraph.checkpoint.serde.base import SerializerProtocol

_VERSIONS = ("channel_versions", "versions_seen")
"""Fields of a checkpoint that grow with the graph, and of which little changes."""


class Ref(NamedTuple):
    """Where a channel's value stands.

    `segments` are all archived ones that it takes to read it, `blobs` the digests and numbers of chunks likewise.
    """

    record: int
    segment: int = 0
    """The archived segment of the record; 0 for the head."""
    segments: tuple[int, ...] = ()
    blobs: tuple[tuple[str, int], ...] = ()

    def archived(self, end: int) -> Ref:
        """The same place, after the head's records were archived as the segment `end`."""
        return self if self.segment else Ref(self.record, end, (*self.segments, end), self.blobs)


@dataclass(frozen=True)
class Frame:
    """A checkpoint without its values."""

    checkpoint: Mapping[str, Any]
    """As LangGraph gave it, without `channel_values`."""
    metadata: Mapping[str, Any]
    parent: str | None = None
    refs: Mapping[str, Ref] = field(default_factory=dict)
    hidden: bool = False
    """Kept only because later checkpoints are made of its writes."""

    @property
    def id(self) -> str:
        return str(self.checkpoint["id"])

    def archived(self, end: int) -> Frame:
        """The same checkpoint, after the head's records were archived as the segment `end`."""
        refs = {channel: ref.archived(end) for channel, ref in self.refs.items()}
        return Frame(self.checkpoint, self.metadata, self.parent, refs, self.hidden)


_NONE = Frame({}, {})


def dump(frame: Frame, before: Frame | None, serde: SerializerProtocol) -> bytes:
    """A frame as what changed since the one that was written before it."""
    old = before or _NONE
    told: dict[str, Any] = {"parent": frame.parent}
    if frame.hidden:
        told["hidden"] = True
    earlier, later = old.checkpoint.get, frame.checkpoint.get
    if change := delta.flat_difference(earlier("channel_versions", {}), later("channel_versions", {})):
        told["channel_versions"] = change
    if change := delta.deep_difference(earlier("versions_seen", {}), later("versions_seen", {})):
        told["versions_seen"] = change
    if change := delta.difference(_rest(old.checkpoint), _rest(frame.checkpoint)):
        told["rest"] = change
    if change := delta.difference(old.metadata, frame.metadata):
        told["metadata"] = change
    if change := delta.flat_difference(old.refs, frame.refs):
        if changed := change.get("set"):
            change["set"] = {channel: _plain(ref) for channel, ref in changed.items()}
        told["refs"] = change
    return serde.dumps_typed(told)[1]


def load(data: bytes, before: Frame | None, serde: SerializerProtocol) -> Frame:
    """The frame again."""
    old = before or _NONE
    told = serde.loads_typed(("msgpack", data))
    checkpoint = delta.patched(_rest(old.checkpoint), told.get("rest", {}))
    for name in _VERSIONS:
        checkpoint[name] = delta.patched(old.checkpoint.get(name, {}), told.get(name, {}))
    refs = delta.patched(old.refs, told.get("refs", {}))
    metadata = delta.patched(old.metadata, told.get("metadata", {}))
    return Frame(
        checkpoint,
        metadata,
        told["parent"],
        {channel: ref if isinstance(ref, Ref) else _ref(ref) for channel, ref in refs.items()},
        told.get("hidden", False),
    )


def _rest(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(checkpoint)
    for name in _VERSIONS:
        rest.pop(name, None)
    return rest


def _plain(ref: Ref) -> list[Any]:
    return [ref.record, ref.segment, list(ref.segments), [list(blob) for blob in ref.blobs]]


def _ref(plain: list[Any]) -> Ref:
    record, segment, segments, blobs = plain
    return Ref(record, segment, tuple(segments), tuple((digest, count) for digest, count in blobs))
