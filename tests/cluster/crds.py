"""The project's CRDs on a control plane."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

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
