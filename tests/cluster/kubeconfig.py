"""Kubeconfig files."""

import base64
from pathlib import Path
from typing import Any

import yaml

from cluster.certificates import Pair


def write(path: Path, *, server: str, authority: Path, client: Pair, name: str = "apm") -> Path:
    """Write a kubeconfig at `path` with everything embedded, readable by its owner only."""

    def embed(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": embed(authority)}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": embed(client.certificate),
                    "client-key-data": embed(client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(yaml.safe_dump(config, sort_keys=False))
    return partial.rename(path)
