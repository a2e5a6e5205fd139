"""A cluster as processes of this machine: a control plane and one node, without any container engine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cluster import audit, builder, gobuild, images, machine, network, ports, settings, volumes
from cluster.controlplane import ALL_CONTROLLERS, ControlPlane, Options
from cluster.errors import MachineError
from cluster.lock import exclusive
from cluster.node import NAME, Node
from cluster.progress import say, step

_LOCK = Path("/run/lock/apm-cluster.lock")
_UNFINISHED = "unfinished"
"""File in the folder of a cluster that is being made or removed: what runs of it is not the whole."""
_PROGRAM_GROUPS = ("etcd", "kubernetes", "kube-router", "coredns", "pause")


@dataclass(frozen=True)
class Bare:
    """The cluster that keeps all it owns in `directory`."""

    directory: Path
    name: ClassVar[str] = "bare"
    name_servers: ClassVar[tuple[str, ...]] = (f"{network.ADDRESS}/32",)
    """Blocks of what resolves names for pods and is no pod itself."""

    @property
    def plane(self) -> ControlPlane:
        """Its control plane, known by the address of the pods' bridge."""
        options = Options(
            address=network.ADDRESS,
            service_cidr=network.SERVICES,
            controllers=ALL_CONTROLLERS,
            scheduler=True,
            audited_user=audit.OPERATOR,
        )
        return ControlPlane(self.directory, options)

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator."""
        return self.plane.kubeconfig

    @property
    def builder(self) -> builder.Builder:
        """Buildah: there is no engine."""
        return builder.buildah()

    def running(self) -> bool:
        """Whether every part of the cluster runs."""
        finished = not (self.directory / _UNFINISHED).exists()
        return finished and self.plane.healthy() and Node(self.plane).healthy() and network.exists()

    def up(self) -> None:
        """Bring the cluster up, or find it up; clear away what is left of one that broke.

        Raises:
            MachineError: the caller is not root, or the machine lacks something.
            StartError: a component did not come up; what was started is ended again.
        """
        machine.require_root("the cluster")
        with exclusive(_LOCK):
            if self.running():
                return
            machine.install_packages()
            for group in _PROGRAM_GROUPS:
                gobuild.build(group)
            pause = images.build(images.PAUSE, self.builder)
            if self.directory.exists():
                say("    an earlier cluster did not end well: clearing it away")
                self._remove()
            with step("starting the cluster"):
                self._start(pause.archive)

    def down(self) -> None:
        """End the cluster and remove what it owned."""
        machine.require_root("removing the cluster")
        with exclusive(_LOCK), step("removing the cluster"):
            self._remove()
            images.forget_builds()

    def load(self, reference: str, archive: Path) -> None:
        """Import an image archive, unless the node has the image."""
        runtime = Node(self.plane).containerd
        if reference not in runtime.images():
            with step(f"loading {reference}"):
                runtime.load(archive)

    def restart_api_server(self) -> None:
        """End the API server at once, and return when it serves again."""
        self.plane.restart_api_server(kill=True)

    @contextmanager
    def reach(self, namespace: str, service: str, port: int) -> Iterator[tuple[str, int]]:
        """Address and port of a Service; kube-proxy serves this machine as it serves pods."""
        query = "--output=jsonpath={.spec.clusterIP}"
        yield self.plane.kubectl("get", f"service/{service}", f"--namespace={namespace}", query), port

    def _start(self, pause: Path) -> None:
        network.require_free()
        self.directory.mkdir(parents=True)
        (self.directory / _UNFINISHED).touch()
        try:
            network.create(self.directory)
            plane = self.plane
            plane.start()
            Node(plane).start(pause)
            plane.kubectl("apply", "--server-side", "-f", "-", stdin=volumes.manifest(self.directory / "volumes", NAME))
            (self.directory / _UNFINISHED).unlink()
        except BaseException:
            self._remove()
            raise

    def _remove(self) -> None:
        """Undo `_start`; nothing was made before the folder was, and the folder goes last.

        Raises:
            MachineError: the folder is not a cluster's.
        """
        if not self.directory.exists():
            return
        if any(self.directory.iterdir()):
            self._require_ours()
            (self.directory / _UNFINISHED).touch()
            plane = self.plane
            Node(plane).stop()
            plane.stop()
            ports.release(settings.read().ports, self.directory)
            self._empty()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _require_ours(self) -> None:
        if not any((self.directory / mark).exists() for mark in (_UNFINISHED, "cni/10-apm.conflist")):
            raise MachineError(
                f"{self.directory} holds something else than a cluster: set APM_CLUSTER_STATE to a folder of its own"
            )

    def _empty(self) -> None:
        """Remove all but the mark by which a later run knows the rest for ours, should this one be cut off."""
        for entry in self.directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _UNFINISHED:
                entry.unlink(missing_ok=True)
