"""KEDA in the cluster, by its own manifests without the admission webhook: what scales agents by their queues."""

from typing import Any

import yaml

from cluster import gobuild, images
from cluster.controlplane import kubectl
from cluster.progress import step
from cluster.provider import Provider, deploy

NAMESPACE = "keda"
_MODULE = "github.com/kedacore/keda/v2"
_API = "apiservice/v1beta1.external.metrics.k8s.io"
_DEPLOYMENTS = ("keda-operator", "keda-metrics-apiserver")


def ensure(cluster: Provider, mongodb: str) -> None:
    """Have it run, and reach the MongoDB in namespace `mongodb`; it stays there, since its finalizers need it.

    Raises:
        ClusterError: it does not start, or serves no metrics.
    """
    image = deploy(cluster, images.KEDA)
    base = gobuild.module_directory("keda", _MODULE) / "config/minimal"
    manifests = list(yaml.safe_load_all(kubectl(cluster.kubeconfig, "kustomize", base)))
    changed = [_changed(each, image) for each in manifests] + [_let_in(mongodb)]
    with step("KEDA"):
        for kinds in (True, False):
            part = [each for each in changed if (each["kind"] == "CustomResourceDefinition") is kinds]
            kubectl(cluster.kubeconfig, "apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(part))
        for name in _DEPLOYMENTS:
            within = (f"--namespace={NAMESPACE}", "--timeout=180s")
            kubectl(cluster.kubeconfig, "rollout", "status", f"deployment/{name}", *within)
        kubectl(cluster.kubeconfig, "wait", "--for=condition=Available", _API, "--timeout=90s")


def _changed(manifest: dict[str, Any], image: str) -> dict[str, Any]:
    """With our image, probes that ask at once, and no webhook to look for."""
    if manifest["kind"] == "Deployment":
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        container |= {"image": image, "imagePullPolicy": "IfNotPresent"}
        container["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 30}
        if manifest["metadata"]["name"] == "keda-operator":
            container["args"].append("--enable-webhook-patching=false")
    return manifest


def _let_in(namespace: str) -> dict[str, Any]:
    """What whoever runs MongoDB behind a policy has to open."""
    keda = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "mongodb-keda", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "mongodb"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [keda], "ports": [{"port": "mongodb", "protocol": "TCP"}]}],
        },
    }
