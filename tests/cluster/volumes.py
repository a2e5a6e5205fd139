"""Local volumes, so that a claim without a storage class is bound and its data outlive a pod."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CLASS = "apm-local"
_COUNT = 16


def manifest(directory: Path, node: str) -> str:
    """A default storage class and volumes with folders in `directory`, as a list in JSON."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": _CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    items = [storage_class, *(_volume(directory / str(number), number, node) for number in range(_COUNT))]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def recycle(kubectl: Callable[..., str]) -> None:
    """Empty the volumes whose claims are gone, and let others claim them: nothing here provisions any."""
    for volume in json.loads(kubectl("get", "persistentvolumes", "--output=json"))["items"]:
        # The phase lags behind: a volume without a claim has been emptied already.
        released = volume["status"].get("phase") == "Released" and "claimRef" in volume["spec"]
        if volume["spec"].get("storageClassName") != _CLASS or not released:
            continue
        for each in Path(volume["spec"]["local"]["path"]).iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        name, unbound = volume["metadata"]["name"], '[{"op": "remove", "path": "/spec/claimRef"}]'
        kubectl("patch", "persistentvolume", name, "--type=json", f"--patch={unbound}")


def _volume(folder: Path, number: int, node: str) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"local-{number}"},
        "spec": {
            "storageClassName": _CLASS,
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        },
    }
