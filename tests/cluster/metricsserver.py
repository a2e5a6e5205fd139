"""metrics-server in the cluster, by its own manifests: what HorizontalPodAutoscalers and `kubectl top` ask."""

from typing import Any

import yaml

from cluster import gobuild, images
from cluster.controlplane import kubectl
from cluster.errors import ClusterError
from cluster.progress import step, wait_until
from cluster.provider import Provider, deploy

_MODULE = "sigs.k8s.io/metrics-server"
_AUTHORITY = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


def ensure(cluster: Provider) -> None:
    """Have it run, and tell the load of nodes; it stays there.

    Raises:
        ClusterError: it does not start, or tells nothing.
    """
    image = deploy(cluster, images.METRICS_SERVER)
    base = gobuild.module_directory("metrics-server", _MODULE) / "manifests/base"
    manifests = list(yaml.safe_load_all(kubectl(cluster.kubeconfig, "kustomize", base)))
    changed = [_changed(each, image, trusted=cluster.name != "kind") for each in manifests]
    with step("metrics-server"):
        kubectl(cluster.kubeconfig, "apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(changed))
        within = "--namespace=kube-system"
        kubectl(cluster.kubeconfig, "rollout", "status", "deployment/metrics-server", within, "--timeout=120s")
        wait_until("the load of the node is told", lambda: _tells(cluster), seconds=90, every=1)


def _changed(manifest: dict[str, Any], image: str, *, trusted: bool) -> dict[str, Any]:
    """With our image, and with the authority of the kubelets' certificates; those of kind's have none."""
    if manifest["kind"] == "Deployment":
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        container["image"] = image
        container["args"].append(
            f"--kubelet-certificate-authority={_AUTHORITY}" if trusted else "--kubelet-insecure-tls"
        )
        container["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 30}
    return manifest


def _tells(cluster: Provider) -> bool:
    try:
        return bool(kubectl(cluster.kubeconfig, "top", "nodes", "--no-headers").strip())
    except ClusterError:
        return False
