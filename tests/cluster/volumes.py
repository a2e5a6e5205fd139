"""Local volumes, so that a claim without a storage class is bound and its data outlive a pod."""

import json
from pathlib import Path
from typing import Any

_CLASS = "apm-local"
_COUNT = 8


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
