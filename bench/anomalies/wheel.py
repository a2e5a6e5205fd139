"""The package of river, of which only data is read: unpacked into a folder of the cache, and never imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.packages import PIP, installed

if TYPE_CHECKING:
    from pathlib import Path


def folder() -> Path:
    """Where it is; put there first where it is not yet.

    Raises:
        NotThereError: It can't be installed.
    """
    return installed("series", "series.txt", "recorded series", _commands)


def _commands(to: Path, lock: Path) -> list[list[str]]:
    # Without what it needs to be imported: SciPy and more, 240 MB.
    return [[sys.executable, *PIP, "--no-compile", "--upgrade", "--target", str(to), "--requirement", str(lock)]]
