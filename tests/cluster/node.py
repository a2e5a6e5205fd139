"""The one node: containerd, kubelet, kube-proxy, network policies and cluster DNS as processes of this machine."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster import containerd, gobuild, images, kubeconfig, machine, network, ports, settings
from cluster.certificates import Pair
from cluster.containerd import Containerd
from cluster.controlplane import ControlPlane
from cluster.progress import wait_until

NAME = "apm-node"
_PROCESSES = ("coredns", "kube-router", "kube-proxy", "kubelet", "containerd")

_COREFILE = """\
cluster.local:53 {{
    bind {address}
    kubernetes {{
        kubeconfig {kubeconfig}
    }}
    errors
}}
"""

# kube-proxy's user gets its rights here; kube-router and CoreDNS read what they need as administrator.
_RIGHTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: apm:kube-proxy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-proxier"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:kube-proxy"}]
"""


@dataclass(frozen=True)
class Node:
    """The node of a control plane; it keeps all it owns in the control plane's folder."""

    plane: ControlPlane

    @property
    def containerd(self) -> Containerd:
        """Its container runtime."""
        return Containerd(self.plane.directory, images.PAUSE.reference)

    def start(self, pause_archive: Path) -> None:
        """Start everything; return when the node is ready."""
        directory, processes = self.plane.directory, self.plane.processes
        health, metrics = ports.claim(settings.read().ports, directory, 2)
        processes.start("containerd", self.containerd.command())
        self._await("containerd", self.containerd.ready)
        self.containerd.load(pause_archive)
        processes.start("kubelet", self._kubelet())
        self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=_RIGHTS)
        processes.start("kube-proxy", self._kube_proxy(health, metrics))
        self._await("kube-proxy", network.services_routed)
        processes.start("coredns", self._coredns())
        self._await("kubelet", self._registered)
        processes.start("kube-router", self._kube_router(), env={"NODE_NAME": NAME})
        self.plane.kubectl("wait", "--for=condition=Ready", f"node/{NAME}", "--timeout=90s")
        for name in _PROCESSES:
            processes.check(name)

    def healthy(self) -> bool:
        """Whether every process of the node runs."""
        return all(self.plane.processes.alive(name) for name in _PROCESSES)

    def stop(self) -> None:
        """End every process, container and pod of the node and undo its mounts and links."""
        for name in _PROCESSES:
            self.plane.processes.stop(name, grace=5)
        containerd.kill_containers()
        machine.unmount_below(self.plane.directory)
        containerd.remove_leftovers()
        network.delete(self.plane.directory)
        shutil.rmtree(containerd.STATE, ignore_errors=True)

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        def alive_and_ready() -> bool:
            self.plane.processes.check(name)
            return ready()

        wait_until(f"{name} ready", alive_and_ready, seconds=60, every=0.2)

    def _registered(self) -> bool:
        return f"node/{NAME}" in self.plane.kubectl("get", "nodes", "--output=name")

    def _kubelet(self) -> list[str]:
        directory, pki = self.plane.directory, self.plane.pki
        server = pki.node_server(NAME, network.ADDRESS)
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": network.ADDRESS,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki.authority.pair.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(server.certificate),
            "tlsPrivateKeyFile": str(server.key),
            "cgroupDriver": "cgroupfs",
            "clusterDNS": [network.ADDRESS],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            "enforceNodeAllocatable": [],
            "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzPort": 0,
            "imageGCHighThresholdPercent": 100,
            "maxPods": 200,
            "oomScoreAdj": 0,
            "podLogsDir": str(directory / "pod-logs"),
            "registerNode": True,
            # A name server of the machine is no use to pods, which can't reach it.
            "resolvConf": str(directory / "resolv.conf"),
            "serializeImagePulls": False,
            # Pods see a new certificate within this time; lives of certificates are a minute in the tests.
            "syncFrequency": "5s",
            "volumePluginDir": str(directory / "volume-plugins"),
        }
        (directory / "resolv.conf").write_text("")
        path = directory / "kubelet.yaml"
        path.write_text(yaml.safe_dump(config))
        credentials = self._kubeconfig("kubelet", pki.node(NAME))
        return [
            str(gobuild.program("kubelet")),
            f"--config={path}",
            f"--kubeconfig={credentials}",
            f"--root-dir={directory / 'kubelet'}",
            f"--cert-dir={directory / 'pki'}",
            f"--hostname-override={NAME}",
            f"--node-ip={network.ADDRESS}",
        ]

    def _kube_proxy(self, health_port: int, metrics_port: int) -> list[str]:
        credentials = self._kubeconfig("kube-proxy", self.plane.pki.component("kube-proxy"))
        return [
            str(gobuild.program("kube-proxy")),
            f"--kubeconfig={credentials}",
            f"--hostname-override={NAME}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={network.PODS}",
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            "--nodeport-addresses=primary",
            f"--healthz-bind-address={network.ADDRESS}:{health_port}",
            f"--metrics-bind-address=127.0.0.1:{metrics_port}",
            "--oom-score-adj=0",
        ]

    def _kube_router(self) -> list[str]:
        return [
            str(gobuild.program("kube-router")),
            f"--kubeconfig={self.plane.kubeconfig}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=false",
            "--enable-cni=false",
            "--health-port=0",
            f"--service-cluster-ip-range={network.SERVICES}",
        ]

    def _coredns(self) -> list[str]:
        corefile = self.plane.directory / "Corefile"
        corefile.write_text(_COREFILE.format(address=network.ADDRESS, kubeconfig=self.plane.kubeconfig))
        return [str(gobuild.program("coredns")), "-conf", str(corefile)]

    def _kubeconfig(self, name: str, client: Pair) -> Path:
        return kubeconfig.write(
            self.plane.directory / "pki" / f"{name}.kubeconfig",
            server=self.plane.url,
            authority=self.plane.pki.authority.pair.certificate,
            client=client,
        )
