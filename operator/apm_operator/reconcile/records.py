"""Objects as the watches last showed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_operator.kinds import RECONCILE_AT


@dataclass(slots=True)
class AgentRecord:
    """An AgentDeployment, or an object of another kind that users write, as last seen.

    `body` is JSON of what its spec is read from.
    """

    uid: str
    generation: int
    version: str
    body: bytes
    status: dict[str, Any]
    reconcile_at: str
    deleting: bool
    created: str = ""
    finalizers: tuple[str, ...] = ()

    def same(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this metadata shows the same object, and no change to it but of its status."""
        return (
            self.uid == metadata["uid"]
            and self.generation == metadata["generation"]
            and self.reconcile_at == (metadata.get("annotations") or {}).get(RECONCILE_AT, "")
            and self.deleting == ("deletionTimestamp" in metadata)
        )


@dataclass(slots=True)
class ChildRecord:
    """A child as last seen.

    Attributes:
        content: JSON of what is compared; b"" once a comparison has been made and `matches` holds its outcome.
        applied: digest of the manifest that the object says it was applied from.
        matches: digest of the manifest that this version of the object covers, "" where it is not known to.
        settled: digest of `content` right after our own apply. An admission rule may have changed what was applied:
            as long as the content stays like this, applying again would change nothing.
    """

    uid: str
    owner: str
    version: str
    content: bytes
    applied: str
    matches: str = ""
    settled: str = ""
