"""Redis in the cluster, with a password of its own."""

import json
import secrets
from pathlib import Path
from string import Template

from cluster import images
from cluster.controlplane import kubectl
from cluster.provider import Provider, deploy

PORT = 6379
SECRET = "apm-redis"  # noqa: S105 - the name of a Secret
_MANIFEST = Path(__file__).parent / "manifests/redis.yaml"


def ensure(cluster: Provider, namespace: str) -> str:
    """Have it run in `namespace`, with its password in Secret `apm-redis`; the host for pods."""
    within = f"--namespace={namespace}"
    if not kubectl(cluster.kubeconfig, "get", f"secret/{SECRET}", within, "--ignore-not-found", "--output=name"):
        data = {"password": secrets.token_urlsafe(24)}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": data}
        kubectl(cluster.kubeconfig, "apply", "--server-side", within, "-f", "-", stdin=json.dumps(secret))
    manifest = Template(_MANIFEST.read_text()).substitute(image=deploy(cluster, images.REDIS))
    kubectl(cluster.kubeconfig, "apply", "--server-side", within, "-f", "-", stdin=manifest)
    kubectl(cluster.kubeconfig, "rollout", "status", "deployment/redis", within, "--timeout=120s")
    return f"redis.{namespace}.svc"
