"""Reads what a storage says of a backup."""

from __future__ import annotations

from pydantic import ValidationError

from apm_operator.backup import layout
from apm_operator.backup.errors import Damaged, Missing
from apm_operator.backup.manifest import Manifest
from apm_operator.backup.storage.base import Storage


def read_manifest(storage: Storage, name: str) -> Manifest:
    """The commit record of a backup.

    Raises:
        Missing: there is no such backup.
        Damaged: it is none, or that of another backup.
    """
    try:
        found = Manifest.model_validate_json(storage.get(layout.manifest_key(name)))
    except Missing:
        raise Missing(f"the storage has no backup {name}") from None
    except ValidationError:
        raise Damaged(f"the manifest of {name} is damaged") from None
    if found.name != name:
        raise Damaged(f"the manifest of {name} is that of {found.name}")
    return found
