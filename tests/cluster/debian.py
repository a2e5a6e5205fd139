"""Programs out of Debian's packages, unpacked into the cache: nothing is installed, no service is started."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import machine, settings
from cluster.errors import MachineError
from cluster.lock import exclusive
from cluster.progress import step


@dataclass(frozen=True)
class Package:
    """A package whose programs need nothing but the C library.

    Attributes:
        version: of the program. Debian's own revisions of it, which mend its holes, are taken as they come.
        programs: files in the package, by the name they go by here.
    """

    name: str
    version: str
    programs: Mapping[str, str]


PACKAGES = (
    Package("prometheus", "2.42.0", {"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"}),
    Package(
        "prometheus-alertmanager",
        "0.25.0",
        {"alertmanager": "usr/bin/prometheus-alertmanager", "amtool": "usr/bin/amtool"},
    ),
)
NAMES = frozenset(name for package in PACKAGES for name in package.programs)


def program(name: str) -> Path:
    """Path of the program `name`, whose package is fetched and unpacked now if it is not there.

    Raises:
        MachineError: the package can't be had; the message says why.
    """
    package = next(each for each in PACKAGES if name in each.programs)
    folder = settings.read().cache / "debian"
    target = folder / f"{package.name}-{package.version}"
    if not target.is_dir():
        with exclusive(folder / f"{package.name}.lock"):
            if not target.is_dir():
                with step(f"fetching Debian's {package.name} {package.version}"):
                    _unpack(package, target)
    return target / package.programs[name]


def command(name: str) -> list[str | Path]:
    """How to start the program `name` so that it, and nobody else, finds the package's files in /usr/share."""
    start = program(name)
    lower = f"lowerdir={start.parents[2] / 'usr/share'}:/usr/share"
    seen = f'mount -t overlay overlay -o "{lower}" /usr/share && exec "$@"'
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *root, "sh", "-c", seen, "sh", start]


def _unpack(package: Package, target: Path) -> None:
    """Fetch by apt, which checks the archive's signatures."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{package.name}-") as name:
        scratch = Path(name)
        try:
            _download(package, scratch)
        except MachineError:
            machine.require_root("reading the lists of Debian's packages anew")
            machine.run(["apt-get", "--quiet", "update"])
            _download(package, scratch)
        (archive,) = scratch.glob("*.deb")
        machine.run(["dpkg-deb", "--extract", archive, scratch / "out"])
        os.replace(scratch / "out", target)  # noqa: PTH105 - the atomic rename is the point


def _download(package: Package, folder: Path) -> None:
    wanted = f"{package.name}={package.version}*"
    fetch = 'cd "$1" && exec apt-get --quiet --option=APT::Sandbox::User=root download "$2"'
    machine.run(["sh", "-c", fetch, "sh", folder, wanted])
