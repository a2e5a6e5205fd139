"""Whether a collection is what the manifest says: pure, and deaf to what servers only write in other ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from apm_operator.backup.manifest import Namespace
from apm_operator.backup.mongo import Collection

_NUMBERS = ("$numberInt", "$numberLong", "$numberDouble")
_OF_THE_SERVER = frozenset(
    {"v", "ns", "background", "textIndexVersion", "2dsphereIndexVersion", "wildcardIndexVersion", "prepareUnique"}
)
"""Fields of an index that say which server made it, not what it does."""
_DEFAULTS: Mapping[str, Any] = {
    "unique": False,
    "sparse": False,
    "hidden": False,
    "default_language": "english",
    "language_override": "language",
}
_ORDERED = {"storageEngine": {"enableOrderedIndex": True}}
"""What DocumentDB adds to the indexes that it made."""
_NOT_OPTIONS = frozenset({"uuid", "autoIndexId", "idIndex"})


def differences(
    expected: Namespace, found: Collection | None, *, documents: int | None, indexes: bool = True
) -> tuple[str, ...]:
    """What is not as it was dumped, in sentences; nothing where all is well.

    Args:
        expected: from the manifest.
        found: what the server says of it; None: nothing is there.
        documents: how many there are; None: not to be compared, as where a TTL index is at work.
        indexes: whether they have been built.
    """
    name = f"{expected.database}.{expected.collection}"
    if found is None:
        return (f"{name} is missing",)
    said = []
    if found.type != expected.type:
        said.append(f"{name} is a {found.type}, not a {expected.type}")
    if documents is not None and documents != expected.documents:
        said.append(f"{name} has {documents} documents, not {expected.documents}")
    wanted, there = normal_options(expected.options), normal_options(found.options)
    said += [
        f"{name}: option {key} is {_shown(there.get(key))}, not {_shown(wanted.get(key))}"
        for key in sorted(wanted.keys() | there.keys())
        if wanted.get(key) != there.get(key)
    ]
    if indexes:
        said += _index_differences(name, expected.indexes, found.indexes)
    return tuple(said)


def _index_differences(name: str, expected: tuple[dict[str, Any], ...], found: tuple[dict[str, Any], ...]) -> list[str]:
    wanted = {str(each.get("name")): normal_index(each) for each in expected}
    there = {str(each.get("name")): normal_index(each) for each in found}
    said = [f"{name}: index {each} is missing" for each in wanted if each not in there]
    said += [f"{name}: index {each} is not in the backup" for each in there if each not in wanted]
    for index in wanted.keys() & there.keys():
        one, other = wanted[index], there[index]
        said += [
            f"{name}: index {index}: {key} is {_shown(other.get(key))}, not {_shown(one.get(key))}"
            for key in sorted(one.keys() | other.keys())
            if one.get(key) != other.get(key)
        ]
    return said


def normal_index(index: Mapping[str, Any]) -> dict[str, Any]:
    """An index by what it does: fields in their order, numbers as numbers, without defaults."""
    read = {key: _plain(value) for key, value in index.items() if key not in _OF_THE_SERVER}
    if read.get("storageEngine") == _ORDERED["storageEngine"]:
        del read["storageEngine"]
    read["key"] = list(dict(read.get("key", {})).items())
    if isinstance(read.get("collation"), dict):
        read["collation"] = _without(read["collation"], "version")
    for name in ("unique", "sparse", "hidden"):
        if name in read:  # old servers wrote 1 for true
            read[name] = bool(read[name])
    return {key: value for key, value in read.items() if key not in _DEFAULTS or value != _DEFAULTS[key]}


def normal_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a collection likewise."""
    read = {key: _plain(value) for key, value in options.items() if key not in _NOT_OPTIONS}
    if isinstance(read.get("collation"), dict):
        read["collation"] = _without(read["collation"], "version")
    if isinstance(read.get("clusteredIndex"), dict):
        read["clusteredIndex"] = _without(read["clusteredIndex"], "v")
    return {key: value for key, value in read.items() if value not in (False, None)}


def creatable(index: Mapping[str, Any]) -> dict[str, Any]:
    """The definition as createIndexes takes it, still canonical extended JSON."""
    left_out = {"v", "ns", "background", "prepareUnique"}
    if _plain(index.get("storageEngine", {})) == _ORDERED["storageEngine"]:
        left_out.add("storageEngine")
    return {key: value for key, value in index.items() if key not in left_out}


def _plain(value: Any) -> Any:
    """Canonical extended JSON with its numbers as numbers: 1, 1.0 and a 64 bit 1 are one and the same here."""
    if isinstance(value, dict):
        if len(value) == 1 and (key := next(iter(value))) in _NUMBERS:
            return float(value[key])
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _without(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name != key}


def _shown(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."  # noqa: PLR2004 - the messages share 4,096 bytes
