from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cluster import volumes

if TYPE_CHECKING:
    from pathlib import Path

CLAIM = {"claimRef": {"name": "data", "namespace": "gone"}}


def volume(folder: Path, phase: str, **spec: Any) -> dict[str, Any]:
    own = {"storageClassName": "apm-local", "local": {"path": str(folder)}}
    return {"metadata": {"name": "local-0"}, "spec": own | spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("phase", "spec", "emptied"),
    [
        ("Released", CLAIM, True),
        ("Bound", CLAIM, False),
        ("Released", {}, False),
        ("Released", {**CLAIM, "storageClassName": "others"}, False),
    ],
    ids=["released", "in-use", "emptied-already", "of-others"],
)
def test_a_volume_is_emptied_once_its_claim_is_gone(tmp_path, phase, spec, emptied):
    (tmp_path / "dump").write_text("old")
    patched = []

    def kubectl(verb: str, *arguments: str) -> str:
        if verb == "patch":
            patched.append(arguments[1])
        return json.dumps({"items": [volume(tmp_path, phase, **spec)]})

    volumes.recycle(kubectl)
    assert patched == (["local-0"] if emptied else [])
    assert (tmp_path / "dump").exists() != emptied
