"""What all logs of a checkpointer share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.state.checkpoints.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.checkpoint.serde.base import SerializerProtocol
    from prometheus_client import Counter
    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.batch import Changes, Reads
    from agent_runtime.state.checkpoints.keys import LogKey
    from agent_runtime.state.checkpoints.seal import Sealer


@dataclass(frozen=True)
class Site:
    """Where logs are, and how they are read and written."""

    collection: Callable[[], AsyncCollection[dict[str, Any]]]
    changes: Changes
    reads: Reads
    sealer: Sealer
    serde: SerializerProtocol
    keep: int | None = None
    """Newest checkpoints to keep of each log."""
    written: Counter | None = None
    """Counts bytes."""

    @property
    def digest_key(self) -> bytes:
        """For the names of blobs."""
        return self.sealer.cipher.digest_key if self.sealer.cipher else b""

    def archive(self, key: LogKey) -> Archive:
        """The archive of a log, with nothing read yet."""
        return Archive(key, self.collection, self.sealer, self.serde)
