"""An S3 server in the cluster, with credentials of this cluster alone."""

import json
import secrets
from pathlib import Path
from string import Template

from cluster import images
from cluster.controlplane import kubectl
from cluster.provider import Provider, deploy

PORT = 7070
BUCKET = "backups"
SECRET = "apm-s3"  # noqa: S105 - the name of a Secret
_MANIFEST = Path(__file__).parent / "manifests/s3.yaml"


def ensure(cluster: Provider, namespace: str) -> str:
    """Have it run in `namespace`, with its keys in Secret `apm-s3`; its endpoint for pods."""
    within = f"--namespace={namespace}"
    if not kubectl(cluster.kubeconfig, "get", f"secret/{SECRET}", within, "--ignore-not-found", "--output=name"):
        keys = {"access-key-id": secrets.token_hex(10).upper(), "secret-access-key": secrets.token_urlsafe(30)}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": keys}
        kubectl(cluster.kubeconfig, "apply", "--server-side", within, "-f", "-", stdin=json.dumps(secret))
    manifest = Template(_MANIFEST.read_text()).substitute(image=deploy(cluster, images.S3))
    kubectl(cluster.kubeconfig, "apply", "--server-side", within, "-f", "-", stdin=manifest)
    kubectl(cluster.kubeconfig, "rollout", "status", "deployment/s3", within, "--timeout=120s")
    return f"http://s3.{namespace}.svc:{PORT}"
