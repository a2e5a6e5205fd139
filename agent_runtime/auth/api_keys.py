"""Callers with a key of their own, from a mounted Secret."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import structlog

from agent_runtime.auth.principal import Principal
from agent_runtime.tls.material import file_stamp

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()

_SHORTEST = 16
"""Characters; a shorter key could be guessed."""


class APIKeys:
    """The Secret's files: the name is the caller's, the content its key. Read anew when one of them changes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: object = None
        self._digests: dict[str, bytes] = {}

    def principal(self, key: str) -> Principal | None:
        """The caller whose key it is. Takes the same time for all keys that are wrong."""
        given, found = _digest(key), None
        for name, digest in self._current().items():
            if hmac.compare_digest(given, digest) and found is None:
                found = name
        return Principal(found, "", "apiKey") if found else None

    def _current(self) -> dict[str, bytes]:
        files = _files(self._directory)
        seen = [(file.name, file_stamp(file)) for file in files]
        if seen != self._seen:
            self._digests = dict(_read(files))
            self._seen = seen
        return self._digests


def _files(directory: Path) -> list[Path]:
    try:
        # A kubelet keeps folders beside the keys, whose names begin with two dots.
        return sorted(file for file in directory.iterdir() if not file.name.startswith("..") and file.is_file())
    except OSError:
        return []


def _read(files: list[Path]) -> list[tuple[str, bytes]]:
    found = []
    for file in files:
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            key = ""
        if len(key) < _SHORTEST:
            log.warning("an API key is not used: it has fewer than 16 characters", account=file.name)
        else:
            found.append((file.name, _digest(key)))
    return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="replace")).digest()
