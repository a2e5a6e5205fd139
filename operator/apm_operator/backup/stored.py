"""Finds a backup in a storage by what lies there, and nothing else."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from apm_operator.backup import layout
from apm_operator.backup.errors import Damaged, Missing
from apm_operator.backup.manifest import Manifest, Verdict
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


def newest_verified(storage: Storage) -> str:
    """Name of the newest backup that was written whole and of which nothing bad was found since.

    Raises:
        Missing: there is none.
    """
    keys = {each.key for each in storage.list() if not each.pending}
    names = [key.removesuffix(layout.MANIFEST) for key in keys if key.endswith(layout.MANIFEST)]
    found = []
    for name in names:
        with suppress(Damaged, Missing):
            manifest = read_manifest(storage, name)
            if manifest.data in keys and not (layout.verdict_key(name) in keys and _is_bad(storage, name)):
                found.append(manifest)
    if not found:
        raise Missing("the storage has no verified backup")
    return max(found, key=lambda it: it.started).name


def _is_bad(storage: Storage, name: str) -> bool:
    try:
        return not Verdict.model_validate_json(storage.get(layout.verdict_key(name))).good
    except (Missing, ValidationError):
        return True
