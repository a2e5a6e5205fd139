"""The certificates that one control plane consists of."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cluster import certificates
from cluster.certificates import Authority, Pair


@dataclass(frozen=True)
class Pki:
    """Certificates in `directory` of a control plane at `address`, with Services in `service_cidr`."""

    directory: Path
    address: str
    service_cidr: str

    @property
    def authority(self) -> Authority:
        """Signs every server and client of the cluster."""
        return Authority(self.directory, "ca")

    @property
    def front_proxy_authority(self) -> Authority:
        """Signs the API server as a client of aggregated API servers."""
        return Authority(self.directory, "front-proxy-ca")

    def create(self) -> None:
        """Make both authorities."""
        self.authority.create()
        self.front_proxy_authority.create()

    @property
    def api_server(self) -> Pair:
        """Server certificate of the API server."""
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        names += ["kubernetes.default.svc.cluster.local", "localhost"]
        first = str(ipaddress.ip_network(self.service_cidr)[1])
        return self.authority.server("kube-apiserver", [*names, *{"127.0.0.1", self.address, first}])

    @property
    def admin(self) -> Pair:
        """Client with every right."""
        return self.authority.client("admin", "apm-admin", "system:masters")

    @property
    def api_server_to_kubelet(self) -> Pair:
        """The API server as a client of kubelets (logs, exec, port-forward)."""
        return self.authority.client("kube-apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters")

    @property
    def front_proxy(self) -> Pair:
        """The API server as a client of aggregated API servers."""
        return self.front_proxy_authority.client("front-proxy-client", "front-proxy-client")

    @property
    def service_accounts(self) -> Pair:
        """Key pair of service account tokens."""
        return certificates.signing_key(self.directory, "service-accounts")

    def component(self, name: str) -> Pair:
        """A component of the control plane or node as the user `system:<name>`."""
        return self.authority.client(name, f"system:{name}")

    def node(self, name: str) -> Pair:
        """The kubelet of node `name` as a client."""
        return self.authority.client(f"node-{name}", f"system:node:{name}", "system:nodes")

    def node_server(self, name: str, address: str) -> Pair:
        """The kubelet of node `name` as a server at `address`."""
        return self.authority.server(f"node-{name}-server", [name, address])
