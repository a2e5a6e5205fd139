"""What an image holds, read from its docker-archive."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_DELETED = ".wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True)
class Archive:
    """The image in the archive `file`, with its layers laid over one another."""

    file: Path

    def paths(self) -> list[str]:
        """Every file and link, by its path without a leading slash."""
        return sorted(self._layer_of)

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            KeyError: the image has no such file.
        """
        with self._layer(self._layer_of[path]) as layer:
            content = layer.extractfile(path if path in layer.getnames() else f"./{path}")
            if content is None:
                raise KeyError(path)
            return content.read()

    def config(self) -> dict[str, Any]:
        """How a container of it is started: user, entry point, environment."""
        with tarfile.open(self.file) as archive:
            found: dict[str, Any] = _json(archive, self._manifest["Config"])["config"]
        return found

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        with tarfile.open(self.file) as archive:
            manifest: dict[str, Any] = _json(archive, "manifest.json")[0]
        return manifest

    @cached_property
    def _layer_of(self) -> dict[str, str]:
        """The topmost layer that has a path, for every path that no later one deletes."""
        found: dict[str, str] = {}
        for name in self._manifest["Layers"]:
            with self._layer(name) as layer:
                members = [(member.name.removeprefix("./"), member.isdir()) for member in layer]
            for path, _ in members:
                folder, _, last = path.rpartition("/")
                if last == _OPAQUE:
                    _delete_below(found, folder)
                elif last.startswith(_DELETED):
                    gone = f"{folder}/{last.removeprefix(_DELETED)}".lstrip("/")
                    found.pop(gone, None)
                    _delete_below(found, gone)
            new = (path for path, folder in members if not folder)
            found |= {path: name for path in new if not path.rpartition("/")[2].startswith(_DELETED)}
        return found

    @contextmanager
    def _layer(self, name: str) -> Iterator[tarfile.TarFile]:
        with tarfile.open(self.file) as archive:
            member = archive.extractfile(name)
            if member is None:
                raise KeyError(name)
            with member, tarfile.open(fileobj=member) as layer:
                yield layer


def _delete_below(found: dict[str, str], folder: str) -> None:
    for path in [path for path in found if path.startswith(f"{folder}/")]:
        del found[path]


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(name)
    return json.load(member)
