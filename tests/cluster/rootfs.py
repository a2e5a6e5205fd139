"""Root file systems of Debian suites made by debootstrap, kept as archives."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster import machine, settings
from cluster.lock import exclusive
from cluster.progress import step

_EXCLUDED = ("./var/cache/apt/archives", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man", "./dev")


@dataclass(frozen=True)
class RootFileSystem:
    """A suite with packages beside its minimal set."""

    name: str
    suite: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        """Digest of what was asked for; the versions are those of the day it was made."""
        asked = " ".join((self.suite, *self.packages, *_EXCLUDED))
        return hashlib.sha256(asked.encode()).hexdigest()[:12]

    def archive(self) -> Path:
        """Archive of the file system, made now if it is not there.

        Raises:
            MachineError: debootstrap failed.
        """
        folder = settings.read().cache / "rootfs"
        target = folder / f"{self.name}-{self.key}.tar"
        if not target.exists():
            with exclusive(folder / f"{self.name}.lock"):
                if not target.exists():
                    with step(f"debootstrap of {self.suite} for {self.name}"):
                        self._make(target)
        return target

    def _make(self, target: Path) -> None:
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{self.name}-"))
        try:
            root, partial = scratch / "root", scratch / "partial.tar"
            names = ",".join(self.packages)
            machine.run(["debootstrap", "--variant=minbase", f"--include={names}", self.suite, root])
            _write_versions(root, target.with_suffix(".packages"))
            excluded = [f"--exclude={path}/*" for path in _EXCLUDED]
            machine.run(["tar", "--create", f"--file={partial}", f"--directory={root}", *excluded, "."])
            os.replace(partial, target)  # noqa: PTH105 - the atomic rename is the point
        finally:
            machine.unmount_below(scratch)
            shutil.rmtree(scratch, ignore_errors=True)


def _write_versions(root: Path, path: Path) -> None:
    """Record which package versions the file system holds."""
    shown = "--showformat=${Package} ${Version}\n"
    path.write_text(machine.run(["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", shown]))


PYTHON = RootFileSystem("python", "bookworm", ("ca-certificates", "python3"))
PYTHON_BUILD = RootFileSystem("python-build", "bookworm", ("ca-certificates", "python3", "python3-pip"))
REDIS = RootFileSystem("redis", "bookworm", ("redis-server",))
POSTGRES = RootFileSystem("postgres", "sid", ("ca-certificates", "postgresql-18-documentdb"))
