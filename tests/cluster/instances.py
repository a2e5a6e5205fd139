"""Control planes of tests: each in a folder of its own, swept when its owner died without stopping it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import settings
from cluster.controlplane import ControlPlane, Options
from cluster.process import myself, read_record

_OWNER = "owner"


@contextmanager
def control_plane(options: Options | None = None) -> Iterator[ControlPlane]:
    """A running control plane; gone, with its folder, at the end."""
    planes = settings.read().planes
    planes.mkdir(parents=True, exist_ok=True)
    sweep(planes)
    directory = Path(tempfile.mkdtemp(dir=planes))
    (directory / _OWNER).write_text(myself())
    plane = ControlPlane(directory, options or Options())
    try:
        plane.start()
        yield plane
    finally:
        _remove(plane)


def sweep(planes: Path) -> int:
    """Remove the control planes in `planes` whose owner has died; tells how many."""
    swept = 0
    for directory in planes.glob("*"):
        owner = read_record(directory / _OWNER)
        if owner is not None and not owner.alive():
            _remove(ControlPlane(directory))
            swept += 1
    return swept


def _remove(plane: ControlPlane) -> None:
    plane.stop()
    plane.processes.stop_all()  # what a test has started beside it
    shutil.rmtree(plane.directory, ignore_errors=True)
