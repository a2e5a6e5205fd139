"""A containerd of the node's own, beside any that the system runs."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from cluster import machine
from cluster.machine import run
from cluster.process import Identity

_NAMESPACE = "k8s.io"
# Unix sockets have a limit of 107 characters: the state lies under /run, whatever the cache's path is.
STATE = Path("/run/apm-cluster")
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP = "kubepods"

_CONFIG = """\
version = 2
root = "{directory}/containerd"
state = "{state}/containerd"
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  netns_mounts_under_state_dir = true
  # Without CAP_SYS_RESOURCE no process can be given an OOM score below its parent's.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory}/cni"
"""


@dataclass(frozen=True)
class Containerd:
    """The containerd that keeps its images and containers in `directory`."""

    directory: Path
    pause: str

    @property
    def socket(self) -> Path:
        """Its socket."""
        return STATE / "containerd.sock"

    def command(self) -> list[str]:
        """Write the configuration; the command line that runs with it."""
        STATE.mkdir(parents=True, exist_ok=True)
        config = self.directory / "containerd.toml"
        config.write_text(_CONFIG.format(directory=self.directory, state=STATE, pause=self.pause))
        return ["containerd", "--config", str(config)]

    def ready(self) -> bool:
        """Whether it answers."""
        return bool(self._ctr("version", check=False))

    def images(self) -> set[str]:
        """Names of the images it has."""
        return set(self._ctr("images", "list", "--quiet").split())

    def load(self, archive: Path) -> None:
        """Import an image archive."""
        self._ctr("images", "import", str(archive))

    def _ctr(self, *arguments: str, check: bool = True) -> str:
        return run(["ctr", f"--address={self.socket}", f"--namespace={_NAMESPACE}", *arguments], check=check)


def kill_containers() -> None:
    """End what runs in containers of ours and their shims, whether or not containerd lives."""
    for shim in _shims():
        for child in _descendants(shim):
            _kill(child)
        _kill(shim)


def remove_leftovers() -> None:
    """Unmount the containers' file systems and network namespaces, and remove the pods' control groups."""
    machine.unmount_below(STATE)
    for hierarchy in (_CGROUPS, *_CGROUPS.iterdir()):
        top = hierarchy / _CGROUP
        if top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()


def _shims() -> list[int]:
    """Process ids of the shims that serve our socket."""
    wanted = f"{STATE}/containerd.sock".encode()
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_shim(entry, wanted)]


def _is_shim(entry: Path, socket: bytes) -> bool:
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"containerd-shim" in words[0] and socket in words


def _descendants(pid: int) -> list[int]:
    """Process ids below `pid`."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _kill(pid: int) -> None:
    try:
        identity = Identity.parse(Path(f"/proc/{pid}/stat").read_text())
        os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return
    machine.wait_gone(identity)
