"""Names of what lies in a storage: `NAME.archive.gz[.age]`, `NAME.manifest.json`, `NAME.verdict.json`."""

from __future__ import annotations

MANIFEST = ".manifest.json"
VERDICT = ".verdict.json"
ARCHIVE = ".archive.gz"
PARTIAL = ".partial"
READING = ".reading"
OUTCOME = ".restored"
CLOCK = ".clock-"
"""Beginning of the names of empty files that tell a file system's time."""


def data_key(name: str, *, encrypted: bool) -> str:
    """Where the data of a backup lie."""
    return f"{name}{ARCHIVE}{'.age' if encrypted else ''}"


def manifest_key(name: str) -> str:
    """Where its commit record lies."""
    return name + MANIFEST


def verdict_key(name: str) -> str:
    """Where the newest verdict on it lies."""
    return name + VERDICT


def reading_key(name: str) -> str:
    """Where a Restore marks that it reads it."""
    return name + READING


def outcome_key(restore: str) -> str:
    """Where a Restore that has ended keeps what it did."""
    return restore + OUTCOME


def name_of(key: str) -> str | None:
    """The backup whose data lie under a key; None where it is no key of data."""
    for suffix in (ARCHIVE, f"{ARCHIVE}.age"):
        if key.endswith(suffix):
            return key.removesuffix(suffix)
    return None


def owner(key: str) -> str | None:
    """The backup or Restore that a key belongs to; None where it is of another kind."""
    for suffix in (MANIFEST, VERDICT, READING, OUTCOME):
        if key.endswith(suffix) and key != suffix:
            return key.removesuffix(suffix)
    return name_of(key)
