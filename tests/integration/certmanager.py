"""cert-manager's own controllers beside a control plane, and an authority of it in a namespace."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cluster import gobuild
from cluster.progress import wait_until

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane
    from integration.shop import Shop

_API = "cert-manager.io/v1"
_GROUP = "cert-manager"


@contextmanager
def cert_manager(plane: ControlPlane) -> Iterator[None]:
    """cert-manager with its CRDs, built where it is not yet there; it ends with the block."""
    definitions = gobuild.module_directory(_GROUP, "github.com/cert-manager/cert-manager") / "deploy" / "crds"
    for file in sorted(definitions.glob("*.yaml")):
        plane.kubectl("apply", "--server-side", f"--filename={file}")
    names = ("certificates", "certificaterequests", "issuers", "clusterissuers")
    wait_until(
        "serving the CRDs of cert-manager",
        lambda: all(name in plane.kubectl("api-resources", "--api-group=cert-manager.io") for name in names),
        seconds=30,
    )
    # The garbage collector would look for new kinds in half a minute, and cert-manager waits for it with a request of
    # the same name.
    plane.processes.stop("kube-controller-manager")
    plane.start()
    plane.processes.start(_GROUP, [gobuild.program("cert-manager"), f"--kubeconfig={plane.kubeconfig}"])
    try:
        yield
    finally:
        plane.processes.stop(_GROUP)


def authority(shop: Shop, name: str = "house") -> None:
    """An Issuer that signs with a key of its own: a self-signed issuer makes the authority's certificate."""
    shop.apply(
        issuer(f"{name}-root", selfSigned={}),
        certificate(f"{name}-ca", f"{name}-root", isCA=True, commonName=f"{name} authority"),
        issuer(name, ca={"secretName": f"{name}-ca"}),
    )


def certificate(name: str, by: str, **spec: Any) -> dict[str, Any]:
    """A Certificate, and the Secret, of this name, issued by an Issuer."""
    key = {"algorithm": "ECDSA", "size": 256}
    spec = {"secretName": name, "issuerRef": {"name": by}, "privateKey": key, **spec}
    return {"apiVersion": _API, "kind": "Certificate", "metadata": {"name": name}, "spec": spec}


def authority_certificate(shop: Shop, name: str = "house") -> str:
    """The certificate of `authority`, PEM; "" while it has none."""
    data = shop.get("secret", f"{name}-ca").get("data", {})
    return base64.b64decode(data.get("tls.crt", "")).decode()


def renew(shop: Shop, certificate: str) -> None:
    """Ask for a renewal now: by the condition that `cmctl renew` sets."""
    found = shop.get("certificates.cert-manager.io", certificate)
    asked = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": found["metadata"]["creationTimestamp"],
    }
    others = [each for each in found["status"]["conditions"] if each["type"] != "Issuing"]
    patch = json.dumps({"status": {"conditions": [*others, asked]}})
    shop.kubectl(
        "patch",
        "certificates.cert-manager.io",
        certificate,
        "--subresource=status",
        "--type=merge",
        f"--patch={patch}",
    )


def issuer(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": _API, "kind": "Issuer", "metadata": {"name": name}, "spec": spec}
