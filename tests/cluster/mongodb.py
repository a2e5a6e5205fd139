"""MongoDB in the cluster, with credentials of this cluster alone."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from cluster import images
from cluster.controlplane import kubectl
from cluster.provider import Provider, deploy

PORT = 27017
_MANIFEST = Path(__file__).parent / "manifests/mongodb.yaml"
_USER = "apm"
# The names that the public image of MongoDB takes its first user from; ours takes the same.
_PREFIX = "MONGO_INITDB_ROOT"
_PUBLIC_IMAGE = "docker.io/library/mongo:7.0"


def ensure(cluster: Provider, namespace: str) -> None:
    """Have MongoDB run in `namespace`: Service `mongodb`, and its URI in key `uri` of Secret `apm-mongodb`."""
    if cluster.builder.pulls:
        reference, data = _PUBLIC_IMAGE, "/data/db"
    else:
        reference, data = deploy(cluster, images.MONGODB), "/data"
    within = f"--namespace={namespace}"
    if not kubectl(cluster.kubeconfig, "get", "secret/apm-mongodb", within, "--ignore-not-found", "--output=name"):
        password = secrets.token_urlsafe(24)
        uri = f"mongodb://{_USER}:{password}@mongodb.{namespace}.svc:{PORT}/"
        both = [
            _secret("apm-mongodb-admin", {f"{_PREFIX}_USERNAME": _USER, f"{_PREFIX}_PASSWORD": password}),
            _secret("apm-mongodb", {"uri": uri}),
        ]
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": both})
        kubectl(cluster.kubeconfig, "apply", "--server-side", within, "-f", "-", stdin=stdin)
    manifest = Template(_MANIFEST.read_text()).substitute(image=reference, data=data)
    kubectl(cluster.kubeconfig, "apply", "--server-side", within, "-f", "-", stdin=manifest)
    kubectl(cluster.kubeconfig, "rollout", "status", "deployment/mongodb", within, "--timeout=180s")


@contextmanager
def reached(cluster: Provider, namespace: str) -> Iterator[str]:
    """The URI by which this machine reaches the MongoDB in `namespace` while the context lasts."""
    with cluster.reach(namespace, "mongodb", PORT) as (host, port):
        yield _uri(cluster, namespace, host, port)


def _uri(cluster: Provider, namespace: str, host: str, port: int) -> str:
    query = "--output=jsonpath={.data.uri}"
    encoded = kubectl(cluster.kubeconfig, "get", "secret/apm-mongodb", f"--namespace={namespace}", query)
    inside = urlsplit(base64.b64decode(encoded).decode())
    return inside._replace(netloc=f"{inside.username}:{inside.password}@{host}:{port}").geturl()


def _secret(name: str, values: dict[str, str]) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
