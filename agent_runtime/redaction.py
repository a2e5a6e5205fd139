"""Takes the pod's secrets out of what other code says.

A user's own graph, or a library in it, may raise an exception that quotes a connection string, and a service may answer
with the header that it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

PLACEHOLDER = "[redacted]"
_SHORTEST = 6
"""Characters; a shorter value stands in many texts by chance."""
_LARGEST = 1 << 16


@dataclass(frozen=True)
class Redaction:
    """Knows the secrets of a pod: files, and those in folders, read at each use; and values of its environment."""

    places: tuple[Path, ...]
    values: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        """The text without the secrets that stand in it."""
        for secret in sorted({*self._known()}, key=len, reverse=True):
            text = text.replace(secret, PLACEHOLDER)
        return text

    def _known(self) -> Iterator[str]:
        for value in (*self.values, *_contents(self.places)):
            yield from (form for form in _forms(value) if len(form) >= _SHORTEST)


def _contents(places: Iterable[Path]) -> Iterator[str]:
    for place in places:
        for file in [place, *sorted(place.rglob("*"))]:
            try:
                if file.is_file() and file.stat().st_size <= _LARGEST:
                    yield file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue


def _forms(value: str) -> Iterator[str]:
    """A value as it may be quoted, and the password of a URL by itself."""
    bare = value.strip()
    yield bare
    try:
        password = urlsplit(bare).password or ""
    except ValueError:
        password = ""
    for form in (bare, password):
        yield from (form, quote(form, safe=""), unquote(form), repr(form)[1:-1])
