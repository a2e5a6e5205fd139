"""What every way of having a cluster offers, and the choice between them."""

import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Protocol

from cluster import images, settings
from cluster.bare import Bare
from cluster.builder import Builder
from cluster.errors import ClusterError
from cluster.images import Image
from cluster.kind import Kind


class Provider(Protocol):
    """A cluster of one machine."""

    name: ClassVar[str]
    name_servers: ClassVar[tuple[str, ...]]

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator."""

    @property
    def builder(self) -> Builder:
        """What builds images for it."""

    def running(self) -> bool:
        """Whether the cluster is up."""

    def up(self) -> None:
        """Bring the cluster up, or find it up."""

    def down(self) -> None:
        """Remove exactly what `up` made."""

    def load(self, reference: str, archive: Path) -> None:
        """Make an image known to the nodes, unless they have it."""

    def restart_api_server(self) -> None:
        """End the API server at once, and return when it serves again."""

    def reach(self, namespace: str, service: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """Host and port at which this machine reaches a Service while the context lasts."""


def choose() -> Provider:
    """The provider the user asked for, else the one that has a cluster, else kind where an engine answers, else bare.

    Raises:
        ClusterError: the one asked for does not exist or can't work here.
    """
    asked, bare = settings.read().provider, Bare(settings.read().cluster)
    if not asked and bare.directory.exists():
        return bare  # an engine that was started since has nothing to do with it
    engine = _engine()
    if asked == "kind" and engine is None:
        raise ClusterError("APM_CLUSTER_PROVIDER=kind needs Docker or Podman, and neither answers: start one")
    if asked not in {"", "bare", "kind"}:
        raise ClusterError(f"APM_CLUSTER_PROVIDER={asked}: choose bare or kind")
    if engine is not None and asked != "bare":
        return Kind(engine)
    return bare


def deploy(cluster: Provider, image: Image) -> str:
    """Build an image and load it into the cluster; its reference."""
    built = images.build(image, cluster.builder)
    cluster.load(built.reference, built.archive)
    return built.reference


def _engine() -> str | None:
    """The container engine that answers, if any."""
    for program in ("docker", "podman"):
        if shutil.which(program):
            try:
                subprocess.run([program, "info"], capture_output=True, check=True, timeout=30)
            except subprocess.SubprocessError:
                continue
            return program
    return None
