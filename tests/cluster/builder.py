"""Building images from Dockerfiles with buildah, or with the Docker or Podman that answers."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Protocol

from cluster import settings
from cluster.errors import BuildError
from cluster.lock import exclusive
from cluster.machine import unmount_below

_RUNTIME = Path("/run/apm-buildah")


class Builder(Protocol):
    """Builds, keeps and saves images."""

    # Whether it can pull public images.
    pulls: ClassVar[bool]

    def has(self, reference: str) -> bool:
        """Whether it keeps the image."""

    def build(
        self, reference: str, context: Path, dockerfile: Path, arguments: Mapping[str, str], locks: Sequence[Path]
    ) -> None:
        """Build an image; `locks` name the Python requirements that the build installs."""

    def save(self, reference: str, archive: Path) -> None:
        """Write the image as a docker-archive."""


@dataclass(frozen=True)
class Buildah:
    """Buildah with a storage of its own; runs build steps in a chroot, so it needs root but no engine."""

    storage: Path
    pulls: ClassVar[bool] = False

    @property
    def runtime(self) -> Path:
        """Folder for what ends with the machine's uptime; two storages in one folder would mix up their layers."""
        return _RUNTIME / sha256(str(self.storage).encode()).hexdigest()[:12]

    def forget(self) -> None:
        """Remove what lies outside of the storage; not while an image is built."""
        unmount_below(self.runtime)
        shutil.rmtree(self.runtime, ignore_errors=True)
        with suppress(OSError):  # absent, or another storage's folder is in it
            _RUNTIME.rmdir()

    def has(self, reference: str) -> bool:
        """Whether the storage has the image."""
        return self._run(["inspect", "--type=image", reference], check=False) == 0

    def build(
        self, reference: str, context: Path, dockerfile: Path, arguments: Mapping[str, str], locks: Sequence[Path]
    ) -> None:
        """Build an image; packages come from folders that pip on this machine filled and checked."""
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        if locks:
            options += [f"--volume={wheels(lock)}:/wheels/{lock.stem}:ro" for lock in locks]
            links = " ".join(f"--find-links=/wheels/{lock.stem}" for lock in locks)
            options.append(f"--build-arg=PIP_OPTIONS=--no-index {links}")
        self._run(
            ["build", "--layers", "--pull-never", f"--file={dockerfile}", f"--tag={reference}", *options, str(context)]
        )

    def save(self, reference: str, archive: Path) -> None:
        """Write the image as a docker-archive."""
        self._run(["push", reference, f"docker-archive:{archive}:{reference}"])

    def _run(self, arguments: Sequence[str], *, check: bool = True) -> int:
        command = ["buildah", f"--root={self.storage}", f"--runroot={self.runtime}", "--storage-driver=overlay"]
        done = subprocess.run(
            [*command, *arguments],
            env=settings.build_environment(BUILDAH_ISOLATION="chroot"),
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise BuildError(f"buildah {arguments[0]}: {_end(done.stderr)}")
        return done.returncode


@dataclass(frozen=True)
class Engine:
    """Docker or Podman; base images are the ones a user gets."""

    program: str
    pulls: ClassVar[bool] = True

    def has(self, reference: str) -> bool:
        """Whether the engine has the image."""
        done = subprocess.run([self.program, "image", "inspect", reference], capture_output=True, check=False)
        return done.returncode == 0

    def build(
        self, reference: str, context: Path, dockerfile: Path, arguments: Mapping[str, str], locks: Sequence[Path]
    ) -> None:
        """Build an image; the build installs the packages of `locks` itself."""
        del locks
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        self._run(["build", f"--file={dockerfile}", f"--tag={reference}", *options, str(context)])

    def save(self, reference: str, archive: Path) -> None:
        """Write the image as a docker-archive."""
        self._run(["save", f"--output={archive}", reference])

    def _run(self, arguments: Sequence[str]) -> None:
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"{self.program} {arguments[0]}: {_end(done.stderr)}")


def buildah() -> Buildah:
    """Buildah with its storage in the cache."""
    return Buildah(settings.read().cache / "buildah")


def wheels(lock: Path) -> Path:
    """Folder with the wheels that `lock` names for Python 3.11, each checked against its hash.

    Raises:
        BuildError: pip could not get one.
    """
    cache = settings.read().cache
    folder = cache / f"wheels/{lock.stem}-{sha256(lock.read_bytes()).hexdigest()[:12]}"
    with exclusive(cache / "wheels/lock"):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
            command += ["--only-binary=:all:", "--python-version=3.11", f"--dest={partial}", f"--requirement={lock}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BuildError(f"pip download of {lock.name}: {_end(done.stderr)}")
            partial.rename(folder)
    return folder


def _end(output: str) -> str:
    return " | ".join(output.strip().splitlines()[-5:])
