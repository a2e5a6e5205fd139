"""The package of river, of which only data is read: unpacked into a folder of the cache, and never imported."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from cluster import settings
from cluster.progress import step

LOCK = Path(__file__).parents[2] / "requirements" / "series.txt"


class NotThereError(Exception):
    """It can't be had here; says why."""


def folder() -> Path:
    """Where it is; put there first where it is not yet.

    Raises:
        NotThereError: It can't be installed.
    """
    digest = hashlib.sha256(f"{sys.version}{LOCK.read_text()}".encode()).hexdigest()[:12]
    found = settings.read().cache / f"series-{digest}"
    complete = found / ".complete"
    if complete.exists():
        return found
    # Without what it needs to be imported: SciPy and more, 240 MB.
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    argv = [sys.executable, *install, "--no-compile", "--upgrade", "--target", str(found), "--requirement", str(LOCK)]
    with step("recorded series"):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotThereError(f"recorded series can't be installed: {said[-1] if said else 'no reason told'}")
    complete.touch()
    return found
