"""The project's CRDs on a control plane."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from cluster.progress import wait_until
from cluster.settings import REPOSITORY

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

FOLDER = REPOSITORY / "crds"


def install(plane: ControlPlane) -> None:
    """Apply the CRDs of `crds/` and wait until the API server serves them.

    `kubectl wait` would not do: it fails on a definition so new that it has no conditions yet.

    Raises:
        ClusterError: the API server refuses a definition, or does not serve it within 30 s.
    """
    plane.kubectl("apply", "--server-side", f"--filename={FOLDER}")
    wait_until("serving the CRDs", lambda: _established(plane), seconds=30)


def wait_until_listed(plane: ControlPlane) -> None:
    """Wait until resources of all kinds can be listed, which is some time after the definitions are established.

    A definition that is deleted before stays for minutes: the API server can't list what goes with it, and tries
    again after longer and longer pauses.

    Raises:
        ClusterError: it does not within 60 s.
    """
    wait_until("listing the CRDs' resources", lambda: _listed(plane), seconds=60)


def _listed(plane: ControlPlane) -> bool:
    plurals = [file.stem.partition("_")[2] for file in sorted(FOLDER.glob("*.yaml"))]
    try:
        plane.kubectl("get", ",".join(plurals), "--all-namespaces")
    except ClusterError:
        return False
    return True


def _established(plane: ControlPlane) -> bool:
    answer = json.loads(plane.kubectl("get", f"--filename={FOLDER}", "--output=json"))
    definitions = answer["items"] if answer["kind"] == "List" else [answer]
    return all(
        any(
            condition["type"] == "Established" and condition["status"] == "True"
            for condition in definition.get("status", {}).get("conditions") or ()
        )
        for definition in definitions
    )
