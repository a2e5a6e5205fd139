"""What the node needs of the machine: root, Debian packages, kernel switches, mounts."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import MachineError
from cluster.process import Identity
from cluster.progress import step, wait_until
from cluster.settings import build_environment

# The program that shows that a package is there, and the package.
_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "modprobe": "kmod",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
_SWITCHES = Path("/proc/sys")
_POLICY = Path("/usr/sbin/policy-rc.d")
_HOLD_BACK = "#!/bin/sh\n# Put here by the local cluster of apm while it installs packages.\nexit 101\n"


def run(argv: Sequence[str | Path], *, stdin: str | None = None, check: bool = True) -> str:
    """Output of a command.

    Raises:
        MachineError: it failed and `check` holds; the message is the end of what it said.
    """
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        if check:
            raise MachineError(f"{argv[0]} is not installed") from None
        return ""
    if check and done.returncode:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise MachineError(f"{' '.join(map(str, argv[:4]))}: {said}")
    return done.stdout


def require_root(purpose: str) -> None:
    """Raise MachineError unless the caller is root."""
    if os.geteuid() != 0:
        raise MachineError(f"{purpose} needs root: run it as root, or start Docker and use APM_CLUSTER_PROVIDER=kind")


def install_packages(packages: Mapping[str, str] = _PACKAGES) -> None:
    """Install the Debian packages that are missing (package by program); none of their services is started.

    Raises:
        MachineError: something is missing and this is not a Debian-like system, or apt failed.
    """
    missing = [package for program, package in packages.items() if shutil.which(program) is None]
    if not missing:
        return
    names = " ".join(missing)
    if shutil.which("apt-get") is None:
        raise MachineError(f"missing: {names}: install them with the system's package manager")
    with step(f"installing {names}"), _services_held_back():
        environment = build_environment(DEBIAN_FRONTEND="noninteractive")
        apt = ["apt-get", "--quiet"]
        # The first finishes what an installation left that was cut off; apt refuses to work before.
        for command in (
            ["dpkg", "--configure", "--pending"],
            [*apt, "update"],
            [*apt, "install", "--yes", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                said = " | ".join(done.stderr.strip().splitlines()[-3:])
                raise MachineError(f"{' '.join(command[:3])} failed: {said}")


@contextmanager
def _services_held_back() -> Iterator[None]:
    """Keep packages from starting their services (Debian's policy-rc.d, answer 101: not allowed)."""
    # One of ours that is there already is what a run left that was killed.
    if _POLICY.exists() and _POLICY.read_text() != _HOLD_BACK:
        yield
        return
    _POLICY.write_text(_HOLD_BACK)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def wait_gone(process: Identity) -> None:
    """Wait until a process that was killed has ended."""
    wait_until(f"end of process {process.pid}", lambda: not process.alive(), seconds=10, every=0.01)


def mounts_below(directory: Path) -> list[str]:
    """Mount points at or below `directory`, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    root = str(directory)
    return sorted((p for p in points if p == root or p.startswith(f"{root}/")), key=len, reverse=True)


def unmount_below(directory: Path) -> None:
    """Unmount everything at or below `directory`; what is still busy goes when its last user ends."""
    for point in mounts_below(directory):
        run(["umount", "--lazy", point], check=False)


def set_switches(switches: dict[str, str], record: Path) -> None:
    """Set kernel switches (paths below /proc/sys) and note in `record` what they were."""
    if not record.exists():
        old = "".join(f"{path} {(_SWITCHES / path).read_text().strip()}\n" for path in switches)
        record.write_text(old)
    for path, value in switches.items():
        (_SWITCHES / path).write_text(value)


def restore_switches(record: Path) -> None:
    """Put the kernel switches back to what `record` says."""
    if record.exists():
        for line in record.read_text().splitlines():
            path, value = line.split(maxsplit=1)
            (_SWITCHES / path).write_text(value)
        record.unlink()
