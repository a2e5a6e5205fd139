"""Kubeconfig files."""

import base64
from pathlib import Path
from typing import Any

import yaml

from cluster.certificates import Pair


def write(path: Path, *, server: str, authority: Path, client: Pair | str, name: str = "apm") -> Path:
    """Write a kubeconfig at `path` with everything embedded, readable by its owner only.

    Args:
        path: the file.
        server: the API server's address.
        authority: certificate of the authority that the API server is known by.
        client: how the client proves who it is: a certificate with its key, or a token.
        name: what the cluster, the user and the context are called.
    """

    def embed(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    if isinstance(client, Pair):
        user = {"client-certificate-data": embed(client.certificate), "client-key-data": embed(client.key)}
    else:
        user = {"token": client}
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": embed(authority)}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(yaml.safe_dump(config, sort_keys=False))
    return partial.rename(path)
