"""The images of the cluster: built once per content, kept as archives that any provider can load."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster import gobuild, settings
from cluster.archive import Archive
from cluster.builder import Builder, buildah
from cluster.errors import BuildError
from cluster.lock import exclusive, exclusive_if_free
from cluster.progress import step
from cluster.rootfs import POSTGRES, PYTHON, PYTHON_BUILD, RootFileSystem
from cluster.rootfs import REDIS as REDIS_ROOT
from cluster.settings import REPOSITORY

_CONTAINERS = Path(__file__).parent / "containers"
_SBOM_FOLDER = "usr/share/sbom/"
_KEPT = 3
_IGNORED = ("__pycache__", ".pyc")


@dataclass(frozen=True)
class Image:
    """An image by the files that decide its content.

    Attributes:
        name: its repository under `apm.local/`.
        dockerfile: its Dockerfile.
        sources: files and folders it is made of: place in the build context -> where they are.
        bases: build arguments that name another image.
        public_bases: whether the Dockerfile's defaults for the bases do as well.
        locks: files of hashed Python requirements that the build installs.
        sbom: whether it holds a list of what it is made of.
    """

    name: str
    dockerfile: Path
    sources: Callable[[], Mapping[str, Path]] = dict
    bases: Mapping[str, "Image"] = field(default_factory=dict)
    public_bases: bool = False
    locks: tuple[Path, ...] = ()
    sbom: bool = False

    def key(self) -> str:
        """Digest of everything the image is made of."""
        digest = hashlib.sha256(self.dockerfile.read_bytes())
        for argument, base in sorted(self.bases.items()):
            digest.update(f"{argument}={base.key()}\0".encode())
        for place, source in sorted(self.sources().items()):
            for file in _files(source):
                digest.update(f"{place}/{file.relative_to(source)}\0".encode())
                digest.update(_content_key(file))
        return digest.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """Name and tag; the tag changes with the content."""
        return f"apm.local/{self.name}:{self.key()}"


def _base(root: RootFileSystem) -> Image:
    return Image(
        name=root.name,
        dockerfile=_CONTAINERS / "base/Dockerfile",
        sources=lambda: {"rootfs.tar": root.archive()},
    )


def _repository(*paths: str) -> Callable[[], Mapping[str, Path]]:
    return lambda: {path: REPOSITORY / path for path in paths}


_SBOM_LOCK = REPOSITORY / "requirements/sbom.txt"
_PYTHON_BASES = {"BASE": _base(PYTHON), "BUILDER": _base(PYTHON_BUILD)}

PAUSE = Image(
    name="pause",
    dockerfile=_CONTAINERS / "pause/Dockerfile",
    sources=lambda: {"pause": gobuild.program("pause")},
)
MONGODB = Image(
    name="mongodb",
    dockerfile=_CONTAINERS / "mongodb/Dockerfile",
    sources=lambda: {
        "ferretdb": gobuild.program("ferretdb"),
        "entrypoint.sh": _CONTAINERS / "mongodb/entrypoint.sh",
    },
    bases={"BASE": _base(POSTGRES)},
)
S3 = Image(
    name="s3",
    dockerfile=_CONTAINERS / "s3/Dockerfile",
    sources=lambda: {"versitygw": gobuild.program("versitygw")},
)
METRICS_SERVER = Image(
    name="metrics-server",
    dockerfile=_CONTAINERS / "metrics-server/Dockerfile",
    sources=lambda: {"metrics-server": gobuild.program("metrics-server")},
)
KEDA = Image(
    name="keda",
    dockerfile=_CONTAINERS / "keda/Dockerfile",
    sources=lambda: {name: gobuild.program(name) for name in ("keda", "keda-adapter")},
)
REDIS = Image(
    name="redis",
    dockerfile=_CONTAINERS / "redis/Dockerfile",
    bases={"BASE": _base(REDIS_ROOT)},
)
OPERATOR = Image(
    name="operator",
    dockerfile=REPOSITORY / "operator/Dockerfile",
    sources=_repository(
        "requirements/operator.txt",
        "requirements/sbom.txt",
        "deploy/sbom.py",
        "operator/apm_operator",
        "agent_runtime/__init__.py",
        "agent_runtime/spec",
    ),
    bases=_PYTHON_BASES,
    public_bases=True,
    locks=(REPOSITORY / "requirements/operator.txt", _SBOM_LOCK),
    sbom=True,
)
RUNTIME = Image(
    name="agent-runtime",
    dockerfile=REPOSITORY / "agent_runtime/Dockerfile",
    sources=_repository("requirements/runtime.txt", "requirements/sbom.txt", "deploy/sbom.py", "agent_runtime"),
    bases=_PYTHON_BASES,
    public_bases=True,
    locks=(REPOSITORY / "requirements/runtime.txt", _SBOM_LOCK),
    sbom=True,
)
_MONGO_TOOLS = Image(
    name="mongo-tools",
    dockerfile=_CONTAINERS / "mongo-tools/Dockerfile",
    sources=lambda: {name: gobuild.program(name) for name in ("mongodump", "mongorestore")},
)
BACKUP = Image(
    name="backup",
    dockerfile=REPOSITORY / "operator/backup.Dockerfile",
    sources=_repository(
        "requirements/backup.txt",
        "requirements/sbom.txt",
        "deploy/sbom.py",
        "operator/apm_operator/__init__.py",
        "operator/apm_operator/backup",
    ),
    bases={**_PYTHON_BASES, "TOOLS": _MONGO_TOOLS},
    public_bases=True,
    locks=(REPOSITORY / "requirements/backup.txt", _SBOM_LOCK),
    sbom=True,
)
ALL = {image.name: image for image in (PAUSE, MONGODB, OPERATOR, RUNTIME, BACKUP)}


@dataclass(frozen=True)
class Built:
    """An image that was built: its name and tag, and its docker-archive."""

    reference: str
    archive: Path

    @property
    def sbom(self) -> Path:
        """What the image is made of, as CycloneDX JSON, where it says so."""
        return self.archive.with_suffix(".cdx.json")


def build(image: Image, builder: Builder) -> Built:
    """The image, built now if it is not there.

    Raises:
        BuildError: the build failed, or its sources changed meanwhile.
    """
    reference = image.reference
    archive = settings.read().images / f"{reference.rpartition('/')[2].replace(':', '-')}.tar"
    if not archive.exists():
        arguments = _base_arguments(image, builder)
        with exclusive(_lock()):
            if not archive.exists():
                with step(f"building image {image.name}"):
                    _build(image, reference, arguments, builder)
                    partial = archive.with_suffix(".partial")
                    partial.unlink(missing_ok=True)
                    builder.save(reference, partial)
                    if image.sbom:
                        _export_sbom(partial, archive.with_suffix(".cdx.json"))
                    os.replace(partial, archive)  # noqa: PTH105 - the atomic rename is the point
                    _prune(archive)
    return Built(reference, archive)


def _export_sbom(archive: Path, target: Path) -> None:
    files = Archive(archive)
    (name,) = (path for path in files.paths() if path.startswith(_SBOM_FOLDER))
    target.write_bytes(files.read(name))


def forget_builds() -> None:
    """Remove what building leaves outside of the cache, unless another process builds now."""
    with exclusive_if_free(_lock()) as free:
        if free:
            buildah().forget()


def _lock() -> Path:
    return settings.read().images / "build.lock"


def _prune(newest: Path) -> None:
    """Delete the archives of earlier contents of the same image, but for the last few."""
    name = newest.name.rpartition("-")[0]
    same = [path for path in newest.parent.glob(f"{name}-*.tar") if path.name.rpartition("-")[0] == name]
    for path in sorted(same, key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]:
        path.unlink(missing_ok=True)
        path.with_suffix(".cdx.json").unlink(missing_ok=True)


def _base_arguments(image: Image, builder: Builder) -> dict[str, str]:
    """Build arguments that name the bases, which the builder has afterwards."""
    if builder.pulls and image.public_bases:
        return {}
    for base in image.bases.values():
        if not builder.has(base.reference):
            with exclusive(_lock()), step(f"building image {base.name}"):
                _build(base, base.reference, {}, builder)
    return {name: base.reference for name, base in image.bases.items()}


def _build(image: Image, reference: str, arguments: dict[str, str], builder: Builder) -> None:
    with tempfile.TemporaryDirectory(dir=settings.read().images, prefix=f".{image.name}-") as scratch:
        context = Path(scratch)
        for place, source in image.sources().items():
            _copy(source, context / place)
        if image.reference != reference:
            raise BuildError(f"the sources of {image.name} changed while they were copied: run it again")
        builder.build(reference, context, image.dockerfile, arguments, image.locks)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    elif source.suffix == ".tar":
        os.link(source, target)
    else:
        shutil.copy(source, target)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = (path for path in source.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.endswith(_IGNORED) for part in path.parts))


def _content_key(file: Path) -> bytes:
    """Digest of the file; what comes out of the cache has its digest in its path."""
    if settings.read().cache in file.parents:
        return str(file.relative_to(settings.read().cache)).encode()
    return hashlib.sha256(file.read_bytes()).digest()
