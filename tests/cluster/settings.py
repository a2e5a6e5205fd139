"""Where the local cluster keeps its things; the only module here that reads the environment."""

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """Folders and choices of one user on one machine.

    Attributes:
        cache: what is built once and kept: binaries, images, virtual environments.
        state: what control planes of tests own: records, certificates, data, logs.
        cluster: what the one cluster of the machine owns; the same for all caches, as its bridge is.
        provider: "kind" or "bare" where the user chose one, else empty.
    """

    cache: Path
    state: Path
    cluster: Path
    provider: str

    @property
    def binaries(self) -> Path:
        """Folder of the Go binaries, one folder per group and pin."""
        return self.cache / "bin"

    @property
    def images(self) -> Path:
        """Folder of the image archives."""
        return self.cache / "images"

    @property
    def planes(self) -> Path:
        """Folder of the control planes that tests start and stop."""
        return self.state / "planes"

    @property
    def ports(self) -> Path:
        """Folder of the ports that live instances hold."""
        return self.state / "ports"


def read() -> Settings:
    """Settings from `APM_CACHE`, `XDG_CACHE_HOME`, `APM_CLUSTER_STATE` and `APM_CLUSTER_PROVIDER`."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("APM_CACHE") or caches / "apm")
    return Settings(
        cache=cache,
        state=cache / "run",
        cluster=Path(os.environ.get("APM_CLUSTER_STATE") or "/var/lib/apm-cluster"),
        provider=os.environ.get("APM_CLUSTER_PROVIDER", ""),
    )


def build_environment(**extra: str) -> dict[str, str]:
    """The caller's environment with `extra` on top, for a child process."""
    return {**os.environ, **extra}
