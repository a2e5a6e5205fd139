"""Programs built from pinned Go modules: once per pin, kept in the cache."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cluster import settings
from cluster.errors import BuildError, MachineError
from cluster.lock import exclusive
from cluster.progress import step

KUBERNETES_VERSION = "1.34.4"

_MODULES = Path(__file__).parent / "gomod"
_GO_NEEDED = (1, 26)
_FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly")
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
_STRIP = "-s -w"
_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_KEDA = "github.com/kedacore/keda/v2/cmd"


def _kubernetes_version_flags() -> str:
    """Linker flags without which the version is v0.0.0, on which skew checks and Helm's kubeVersion fail."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    return " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in values.items())


@dataclass(frozen=True)
class Group:
    """Programs that share one go.mod: package path by program name, and the linker's flags."""

    packages: Mapping[str, str]
    link: str = _STRIP


GROUPS = {
    "kubernetes": Group(
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
        link=f"{_STRIP} {_kubernetes_version_flags()}",
    ),
    "etcd": Group({"etcd": "go.etcd.io/etcd/server/v3"}),
    "kube-router": Group({"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"}),
    "coredns": Group({"coredns": "github.com/coredns/coredns"}),
    "helm": Group({"helm": "helm.sh/helm/v4/cmd/helm"}),
    "kind": Group({"kind": "sigs.k8s.io/kind"}),
    "kubeconform": Group({"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}),
    "ferretdb": Group({"ferretdb": "github.com/FerretDB/FerretDB/v2/cmd/ferretdb"}),
    "pause": Group({"pause": "."}),
    "cert-manager": Group({"cert-manager": "."}),
    "otelcol": Group({"otelcol": "."}),
    "versitygw": Group({"versitygw": "github.com/versity/versitygw/cmd/versitygw"}),
    "keda": Group({"keda": f"{_KEDA}/operator", "keda-adapter": f"{_KEDA}/adapter"}),
    "metrics-server": Group({"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"}),
    "mongo-tools": Group(
        {
            "mongodump": "github.com/mongodb/mongo-tools/mongodump/main",
            "mongorestore": "github.com/mongodb/mongo-tools/mongorestore/main",
        }
    ),
}


@cache
def _go_version() -> str:
    """Version of the Go toolchain, such as "go1.26.8".

    Raises:
        MachineError: there is no Go, or it is too old.
    """
    needed = ".".join(map(str, _GO_NEEDED))
    if shutil.which("go") is None:
        raise MachineError(f"go is not on PATH: install Go {needed} or newer")
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    number = tuple(int(part) for part in version.removeprefix("go").split("-")[0].split(".")[:2])
    if number < _GO_NEEDED:
        raise MachineError(f"{version} is too old: install Go {needed} or newer")
    return version


def _key(name: str) -> str:
    """Digest of everything that decides what the programs of group `name` are."""
    group, digest = GROUPS[name], hashlib.sha256()
    for part in (_go_version(), *_FLAGS, group.link, *sorted(group.packages.values())):
        digest.update(part.encode() + b"\0")
    for file in sorted((_MODULES / name).iterdir()):
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def build(name: str) -> Path:
    """Folder with the programs of group `name`, built now if they are not there.

    Raises:
        BuildError: the build failed.
        MachineError: there is no usable Go.
    """
    binaries = settings.read().binaries
    target = binaries / f"{name}-{_key(name)}"
    if target.is_dir():
        return target
    with exclusive(binaries / f"{name}.lock"):
        if not target.is_dir():
            with step(f"building {name}"):
                _build_into(name, target)
    return target


def program(name: str) -> Path:
    """Path of the program `name`, built now if it is not there."""
    group = next(key for key, group in GROUPS.items() if name in group.packages)
    return build(group) / name


def module_directory(name: str, module: str) -> Path:
    """Folder of the files of a module that group `name` needs; they are read-only.

    Raises:
        BuildError: it can't be had.
        MachineError: there is no usable Go.
    """
    _go_version()
    done = _go("mod", "download", "-json", module, folder=name)
    if done.returncode:
        raise BuildError(f"the module {module} can't be had: {' | '.join(done.stderr.strip().splitlines()[-5:])}")
    return Path(json.loads(done.stdout)["Dir"])


def _build_into(name: str, target: Path) -> None:
    group = GROUPS[name]
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
        out = Path(scratch, "out")
        out.mkdir()
        for program_name, package in group.packages.items():
            options = (*_FLAGS, "-ldflags", group.link, "-o", str(out / program_name))
            done = _go("build", *options, package, folder=name)
            if done.returncode:
                last = " | ".join(done.stderr.strip().splitlines()[-5:])
                raise BuildError(f"go build of {program_name} failed: {last}")
        os.replace(out, target)  # noqa: PTH105 - the atomic rename is the point


def _go(*arguments: str, folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["go", *arguments],
        cwd=_MODULES / folder,
        env=settings.build_environment(**_ENVIRONMENT),
        capture_output=True,
        text=True,
        check=False,
    )
