"""Packages that only a benchmark uses, installed into folders of the cache, each by a lock of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import settings
from cluster.progress import step

if TYPE_CHECKING:
    from collections.abc import Callable

PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
_LOCKS = Path(__file__).parents[1] / "requirements"


class NotThereError(Exception):
    """Something can't be had here; says why."""


def installed(name: str, lock: str, what: str, commands: Callable[[Path, Path], list[list[str]]]) -> Path:
    """The folder `name` of the cache, made where it is not there yet by commands that are given it and the lock.

    Raises:
        NotThereError: It can't be installed; `what` says what.
    """
    file = _LOCKS / lock
    digest = hashlib.sha256(f"{sys.version}{file.read_text()}".encode()).hexdigest()[:12]
    folder = settings.read().cache / f"{name}-{digest}"
    complete = folder / ".complete"
    if complete.exists():
        return folder
    with step(what):
        for argv in commands(folder, file):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()
                raise NotThereError(f"{what} can't be installed: {said[-1] if said else 'no reason told'}")
    complete.touch()
    return folder
