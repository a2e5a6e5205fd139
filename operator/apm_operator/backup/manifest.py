"""The commit record of a backup: a backup without it does not exist."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationInfo, model_validator

from apm_operator.backup.base import Model
from apm_operator.backup.job import Scope


class Sealed(Model):
    """A model whose JSON carries a digest of its content: a flipped bit makes it unreadable, not different."""

    def to_json(self) -> str:
        """With `checksum`: hexadecimal SHA-256 of all the rest."""
        content = json.loads(super().to_json())
        return json.dumps({**content, "checksum": _digest(content)})

    @model_validator(mode="before")
    @classmethod
    def _check(cls, content: Any, info: ValidationInfo) -> Any:
        if info.mode != "json" or not isinstance(content, dict):
            return content
        checksum = content.pop("checksum", None)
        if checksum != _digest(content):
            raise ValueError("the checksum is not that of the content")
        return content


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Namespace(Model):
    """A collection (or view, or time series) as it was dumped.

    Attributes:
        documents: how many the archive holds.
        size: bytes of BSON.
        crc64: CRC-64/XZ of all its documents, hexadecimal, as the archive says at the namespace's end.
        options: as listCollections gave them (canonical extended JSON).
        indexes: likewise, without the one of `_id`.
    """

    database: str
    collection: str
    type: str = "collection"
    documents: int
    size: int
    crc64: str
    options: dict[str, Any] = Field(default_factory=dict)
    indexes: tuple[dict[str, Any], ...] = ()


class Manifest(Sealed):
    """What a backup holds, and how to tell that it is whole.

    Attributes:
        run: uid of the Job that made it: a later Job of its name must not take it for its own work.
        data: key of the data beside the manifest.
        size: bytes of the stored data.
        sha256: hexadecimal, of the stored data.
        archive_size: bytes of mongodump's archive before compression.
        recipients: age's public keys that it was encrypted for.
        scope: what was to be dumped: a Restore removes nothing that this left out.
    """

    format: Literal["apm.valeo-neuroerp.com/backup/v1"] = "apm.valeo-neuroerp.com/backup/v1"
    name: str
    namespace: str
    policy: str
    run: str = ""
    started: AwareDatetime
    finished: AwareDatetime
    server_version: str
    tool_version: str
    oplog: bool
    data: str
    size: int
    sha256: str
    archive_size: int
    compression: Literal["gzip"] = "gzip"
    encryption: Literal["age"] | None = None
    recipients: tuple[str, ...] = ()
    scope: Scope = Scope()
    namespaces: tuple[Namespace, ...]

    @property
    def documents(self) -> int:
        """Of all namespaces."""
        return sum(each.documents for each in self.namespaces)


class Verdict(Sealed):
    """What a restore test, or a later verification, has found; kept beside the manifest."""

    name: str
    at: AwareDatetime
    restored: bool
    """Whether it was restored into scratch databases, or only read."""
    good: bool
    reason: str = ""
    message: str = ""
