"""The chart installed on a bare control plane, and its operator as a process with the rights of its ServiceAccount."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from cluster import gobuild
from cluster.controlplane import ControlPlane
from cluster.settings import REPOSITORY

HOME = "apm-system"
ACCOUNT = f"system:serviceaccount:{HOME}:apm-operator"


@contextmanager
def installed(plane: ControlPlane, *options: str) -> Iterator[None]:
    """The chart's objects for some options of `helm install`; gone at the end."""
    helm = [str(gobuild.program("helm")), f"--kubeconfig={plane.kubeconfig}", f"--namespace={HOME}"]
    subprocess.run(
        [*helm, "install", "apm", str(REPOSITORY / "charts/apm-operator"), *options], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run([*helm, "uninstall", "apm"], check=True, capture_output=True)


@contextmanager
def operator(plane: ControlPlane, folder: Path, **settings: str) -> Iterator[str]:
    """The operator as the chart's Deployment would start it, with its ServiceAccount's token; yields its address."""
    deployment = json.loads(plane.kubectl("get", "deployment/apm-operator", f"--namespace={HOME}", "--output=json"))
    spec = deployment["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") or "" for entry in spec["containers"][0]["env"]}
    environment |= {"POD_NAME": "apm-operator-0", "APM_OPERATOR_NAMESPACE": HOME}
    environment |= {"APM_HTTP_HOST": "127.0.0.1", "APM_HTTP_PORT": "0", "APM_HTTPS_PORT": "0", **settings}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    environment["KUBECONFIG"] = str(kubeconfig_of(plane, spec["serviceAccountName"], folder))
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "apm_operator"], env=environment, stderr=output)
    try:
        port = eventually(lambda: re.search(r'"port": (\d+)', log.read_text()))
        url = f"http://127.0.0.1:{port[1]}"
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def kubeconfig_of(plane: ControlPlane, account: str, folder: Path) -> Path:
    """A kubeconfig with nothing but a ServiceAccount's token."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": plane.kubectl("create", "token", account, f"--namespace={HOME}").strip()}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def eventually(check: Callable[[], Any], seconds: float = 30) -> Any:
    """Poll until `check` gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return found
