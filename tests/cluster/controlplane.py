"""A real Kubernetes control plane as processes of this machine: etcd, API server and what else is asked for.

With the default address it needs neither root nor a network of its own; several run beside one another.
"""

import signal
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import httpx

from cluster import components, gobuild, kubeconfig, ports, settings
from cluster.errors import ClusterError
from cluster.pki import Pki
from cluster.process import ProcessTable
from cluster.progress import wait_until

_START_SECONDS = 90

# What integration tests need: namespaces that go away, garbage collection, and the service account "default".
# Deployments make no pods with these: add "deployment-controller" and "replicaset-controller" for that.
LEAN_CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
)
ALL_CONTROLLERS = ("*",)


@dataclass(frozen=True)
class Options:
    """What a control plane consists of.

    Attributes:
        address: IP address the API server listens on and is known by.
        service_cidr: addresses of Services.
        controllers: names for kube-controller-manager's `--controllers`; empty: it does not run.
        scheduler: whether kube-scheduler runs.
        audit: whether the API server writes an audit log (metadata of every write, to `audit.log`).
        audited_user: of whom alone it writes down every call, reads too.
        api_server_flags: further flags of kube-apiserver.
    """

    address: str = "127.0.0.1"
    service_cidr: str = "10.215.0.0/16"
    controllers: tuple[str, ...] = LEAN_CONTROLLERS
    scheduler: bool = False
    audit: bool = False
    audited_user: str = ""
    api_server_flags: tuple[str, ...] = ()


@dataclass
class ControlPlane:
    """One control plane that keeps all it owns in `directory`; usable as a context manager."""

    directory: Path
    options: Options = field(default_factory=Options)

    @cached_property
    def processes(self) -> ProcessTable:
        """Its processes: etcd, kube-apiserver, kube-controller-manager, kube-scheduler."""
        return ProcessTable(self.directory)

    @cached_property
    def pki(self) -> Pki:
        """Its certificates."""
        return Pki(self.directory / "pki", self.options.address, self.options.service_cidr)

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator (group system:masters)."""
        return self.directory / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Where the API server writes its audit log, where it is asked for one; a JSON object a line."""
        return self.directory / "audit.log"

    @cached_property
    def url(self) -> str:
        """Address of the API server, such as "https://127.0.0.1:20123"."""
        return f"https://{self.options.address}:{self._ports[0]}"

    @cached_property
    def _ports(self) -> tuple[int, ...]:
        """Ports of the API server, of etcd's clients and of etcd's peers; the same over a restart."""
        file = self.directory / "ports"
        if not file.exists():
            claimed = ports.claim(settings.read().ports, self.directory, 3, address=self.options.address)
            file.write_text(" ".join(map(str, claimed)))
        return tuple(map(int, file.read_text().split()))

    def start(self) -> None:
        """Start every component and return when the API server is ready.

        Raises:
            StartError: a component ended, or the API server was not ready within 90 s.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.pki.create()
        kubeconfig.write(
            self.kubeconfig,
            server=self.url,
            authority=self.pki.authority.pair.certificate,
            client=self.pki.admin,
        )
        _, client_port, peer_port = self._ports
        self._start("etcd", components.etcd(self.directory, client_port, peer_port))
        self.start_api_server()
        if self.options.controllers:
            self._start(
                "kube-controller-manager",
                components.controller_manager(self, self.options.controllers),
            )
        if self.options.scheduler:
            self._start("kube-scheduler", components.scheduler(self))

    def start_api_server(self) -> None:
        """Start the API server and wait until it is ready."""
        self._start("kube-apiserver", components.api_server(self, *self._ports[:2]))
        self._wait("kube-apiserver", self._ready)

    def stop_api_server(self, *, kill: bool = False) -> None:
        """Stop the API server alone, by SIGTERM or at once."""
        self.processes.stop("kube-apiserver", kill=kill, grace=10)

    def restart_api_server(self, *, kill: bool = False) -> None:
        """Stop the API server and start it again at the same address."""
        self.stop_api_server(kill=kill)
        self.start_api_server()

    def pause_api_server(self) -> None:
        """Freeze the API server: connections stay open and nothing answers."""
        self.processes.signal("kube-apiserver", signal.SIGSTOP)

    def resume_api_server(self) -> None:
        """Let a frozen API server go on."""
        self.processes.signal("kube-apiserver", signal.SIGCONT)

    def stop(self) -> None:
        """End every process and free the ports; the data stay."""
        self.resume_api_server()
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            self.processes.stop(name, grace=5)
        ports.release(settings.read().ports, self.directory)
        (self.directory / "ports").unlink(missing_ok=True)
        self.__dict__.pop("_ports", None)
        self.__dict__.pop("url", None)

    def healthy(self) -> bool:
        """Whether every process it consists of runs."""
        wanted = ["etcd", "kube-apiserver"]
        wanted += ["kube-controller-manager"] if self.options.controllers else []
        wanted += ["kube-scheduler"] if self.options.scheduler else []
        return all(self.processes.alive(name) for name in wanted)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Output of kubectl as administrator.

        Raises:
            ClusterError: kubectl failed; the message is what it said.
        """
        return kubectl(self.kubeconfig, *arguments, stdin=stdin)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def _start(self, name: str, argv: list[str]) -> None:
        if not self.processes.alive(name):
            self.processes.start(name, argv)

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        def alive_and_ready() -> bool:
            self.processes.check(name)
            return ready()

        wait_until(f"{name} ready", alive_and_ready, seconds=_START_SECONDS, every=0.1)

    def _ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.pki.authority.pair.certificate))
        context.load_cert_chain(self.pki.admin.certificate, self.pki.admin.key)
        try:
            return httpx.get(f"{self.url}/readyz", verify=context, trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False


def kubectl(config: Path, *arguments: str | Path, stdin: str | None = None) -> str:
    """Output of kubectl with the kubeconfig `config`.

    Raises:
        ClusterError: kubectl failed; the message is what it said.
    """
    done = subprocess.run(
        [gobuild.program("kubectl"), f"--kubeconfig={config}", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shown = " ".join(map(str, arguments))
        raise ClusterError(f"kubectl {shown}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
