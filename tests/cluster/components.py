"""Command lines of the control plane's components."""

from pathlib import Path
from typing import TYPE_CHECKING

from cluster import gobuild, kubeconfig

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

_ISSUER = "https://kubernetes.default.svc.cluster.local"

# A record of every change and of every read of a Secret; enough to see who did what.
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
- {level: Metadata, resources: [{group: "", resources: [secrets]}]}
- {level: None}
"""

_AUDIT_OF_ONE = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {{level: Metadata, users: ["{user}"]}}
- {{level: None}}
"""


def etcd(directory: Path, client_port: int, peer_port: int) -> list[str]:
    """A single etcd on loopback. It does not sync its writes to disk: the clusters here are disposable."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        str(gobuild.program("etcd")),
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(plane: "ControlPlane", port: int, etcd_port: int) -> list[str]:
    """The API server with the authorizers Node and RBAC."""
    pki, options = plane.pki, plane.options
    flags = {
        "bind-address": options.address,
        "advertise-address": options.address,
        "secure-port": port,
        "etcd-servers": f"http://127.0.0.1:{etcd_port}",
        "service-cluster-ip-range": options.service_cidr,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "client-ca-file": pki.authority.pair.certificate,
        "tls-cert-file": pki.api_server.certificate,
        "tls-private-key-file": pki.api_server.key,
        "kubelet-certificate-authority": pki.authority.pair.certificate,
        "kubelet-client-certificate": pki.api_server_to_kubelet.certificate,
        "kubelet-client-key": pki.api_server_to_kubelet.key,
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": _ISSUER,
        "service-account-key-file": pki.service_accounts.certificate,
        "service-account-signing-key-file": pki.service_accounts.key,
        "requestheader-client-ca-file": pki.front_proxy_authority.pair.certificate,
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": pki.front_proxy.certificate,
        "proxy-client-key-file": pki.front_proxy.key,
        "enable-aggregator-routing": "true",
        "endpoint-reconciler-type": "lease",
        # A terminating server drops its watches at once instead of after 60 s.
        "shutdown-watch-termination-grace-period": "0s",
    }
    if options.audit or options.audited_user:
        policy = plane.directory / "audit-policy.yaml"
        one = _AUDIT_OF_ONE.format(user=options.audited_user)
        policy.write_text(one if options.audited_user else _AUDIT_POLICY)
        flags |= {"audit-policy-file": policy, "audit-log-path": plane.audit_log, "audit-log-maxsize": 1000}
    return [str(gobuild.program("kube-apiserver")), *_flags(flags), *options.api_server_flags]


def controller_manager(plane: "ControlPlane", controllers: tuple[str, ...]) -> list[str]:
    """The controllers named; "*" stands for all that are on by default."""
    pki = plane.pki
    flags = {
        "kubeconfig": _component_kubeconfig(plane, "kube-controller-manager"),
        "controllers": ",".join(controllers),
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki.service_accounts.key,
        "root-ca-file": pki.authority.pair.certificate,
        "cluster-signing-cert-file": pki.authority.pair.certificate,
        "cluster-signing-key-file": pki.authority.pair.key,
        "leader-elect": "false",
        "secure-port": 0,
    }
    return [str(gobuild.program("kube-controller-manager")), *_flags(flags)]


def scheduler(plane: "ControlPlane") -> list[str]:
    """The scheduler."""
    flags = {
        "kubeconfig": _component_kubeconfig(plane, "kube-scheduler"),
        "leader-elect": "false",
        "secure-port": 0,
    }
    return [str(gobuild.program("kube-scheduler")), *_flags(flags)]


def _component_kubeconfig(plane: "ControlPlane", name: str) -> Path:
    return kubeconfig.write(
        plane.directory / "pki" / f"{name}.kubeconfig",
        server=plane.url,
        authority=plane.pki.authority.pair.certificate,
        client=plane.pki.component(name),
    )


def _flags(values: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
