"""A cluster by kind, in containers of a Docker or Podman engine."""

import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cluster import gobuild, settings
from cluster.builder import Engine
from cluster.controlplane import kubectl
from cluster.errors import ClusterError
from cluster.progress import say, step, wait_until
from cluster.reach import port_forward

_CLUSTER = "apm"
_CONFIG = Path(__file__).with_name("kind.yaml")


@dataclass(frozen=True)
class Kind:
    """The kind cluster "apm" of a container engine ("docker" or "podman")."""

    engine: str
    name: ClassVar[str] = "kind"
    name_servers: ClassVar[tuple[str, ...]] = ()

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator."""
        return settings.read().state / "kind.kubeconfig"

    @property
    def builder(self) -> Engine:
        """The engine itself."""
        return Engine(self.engine)

    def running(self) -> bool:
        """Whether the cluster exists; kind writes the kubeconfig when it is up."""
        return self.kubeconfig.exists() and self._exists()

    def up(self) -> None:
        """Create the cluster, or find it."""
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if not self.running():
            if self._exists():
                say("    an earlier kind cluster did not come up: deleting it")
                self.down()
            with step("creating the kind cluster"):
                options = [f"--config={_CONFIG}", f"--kubeconfig={self.kubeconfig}", "--wait=120s"]
                self._kind("create", "cluster", f"--name={_CLUSTER}", *options)

    def down(self) -> None:
        """Delete the cluster."""
        self._kind("delete", "cluster", f"--name={_CLUSTER}")
        self.kubeconfig.unlink(missing_ok=True)

    def _exists(self) -> bool:
        return _CLUSTER in self._kind("get", "clusters").split()

    def load(self, reference: str, archive: Path) -> None:
        """Load an image archive into the node."""
        del reference
        self._kind("load", "image-archive", str(archive), f"--name={_CLUSTER}")

    def restart_api_server(self) -> None:
        """End the API server at once, and return when it serves again: the kubelet starts it anew."""
        node = f"{_CLUSTER}-control-plane"
        subprocess.run([self.engine, "exec", node, "pkill", "-KILL", "kube-apiserver"], check=True)
        wait_until("the API server to be back", self._answers, seconds=120)

    def _answers(self) -> bool:
        try:
            return kubectl(self.kubeconfig, "get", "--raw=/readyz", "--request-timeout=5s") == "ok"
        except ClusterError:
            return False

    def reach(self, namespace: str, service: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """Host and port at which this machine reaches a Service while the context lasts."""
        return port_forward(self.kubeconfig, namespace, service, port)

    def _kind(self, *arguments: str) -> str:
        done = subprocess.run(
            [gobuild.program("kind"), *arguments],
            env=settings.build_environment(KIND_EXPERIMENTAL_PROVIDER=self.engine),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " | ".join(done.stderr.strip().splitlines()[-3:])
            raise ClusterError(f"kind {arguments[0]} {arguments[1]}: {said}")
        return done.stdout
