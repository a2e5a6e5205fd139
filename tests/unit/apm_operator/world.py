"""One agent, its operator and an API in memory, for tests of a pass."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from apm_operator.kinds import AGENTS
from apm_operator.network import ClusterNetwork
from apm_operator.pki.issuer import Issuer
from apm_operator.queue import Key
from apm_operator.reconcile.agentdeployment import Reconciler
from apm_operator.reconcile.apiserver import ApiServer
from apm_operator.reconcile.cache import Cache
from apm_operator.reconcile.certificates import Certificates
from apm_operator.reconcile.certmanager import CertManager
from apm_operator.reconcile.events import Events
from apm_operator.reconcile.facts import PodFacts
from apm_operator.reconcile.keda import Keda
from apm_operator.reconcile.outcome import Outcome
from apm_operator.reconcile.prober import Proof
from apm_operator.reconcile.secrets import Secrets
from apm_operator.reconcile.services import Services
from apm_operator.reconcile.surroundings import Neighbours
from unit.apm_operator.agents import IMAGES, body
from unit.apm_operator.fakes import FakeKube

KEY = Key("shop", "one")


STATE = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}


YEAR = 365 * 86_400.0


class SilentProber:
    async def reasons(self, pods: Mapping[str, PodFacts], proof: Proof | None) -> dict[str, str]:  # noqa: ARG002
        return dict.fromkeys((name for name, pod in pods.items() if pod.running and not pod.ready), "mongodb: refused")


class World:
    """A reconciler with its cache over a fake API."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.cluster = ClusterNetwork()
        self.now = 1_800_000_000.0
        self.restart()

    def clock(self) -> float:
        return self.now

    def restart(self) -> None:
        """A new operator that has listed what there is."""
        self.cache = Cache()
        kube: Any = self.kube
        self.secrets = Secrets(kube)
        self.services = Services(kube)
        self.api_server = ApiServer(kube, self.cluster.api_server)
        self.issuer = Issuer(kube, "home", "apm-operator-ca", life=YEAR, overlap=YEAR / 60, clock=self.clock)
        certificates = Certificates(
            kube, self.issuer, CertManager(kube, self.clock), "kubectl -n NAMESPACE grant", self.clock
        )
        keda = Keda(kube, self.clock)
        self.reconciler = Reconciler(
            kube=kube,
            cache=self.cache,
            secrets=self.secrets,
            neighbours=Neighbours(
                self.cluster,
                self.cache.calls,
                self.secrets,
                self.services,
                self.api_server,
                certificates=certificates,
                keda=keda,
                token_review_url="https://apm-operator.home.svc:8443/tokenreviews",  # noqa: S106
            ),
            certificates=certificates,
            events=Events(kube, "test"),
            keda=keda,
            prober=SilentProber(),
            images=IMAGES,
        )
        for found in self.kube.objects.values():
            if found["kind"] not in ("Secret", "Event", "Certificate"):
                self.cache.observe(found, deleted=False)
        self.kube.calls.clear()

    def write(self, **spec: Any) -> None:
        """The user applies a spec."""
        self.kube.version += 1
        at = (AGENTS.kind, KEY.namespace, KEY.name)
        before = self.kube.objects.get(at)
        new = body(version=str(self.kube.version), **spec)
        if before:
            new["metadata"]["generation"] = before["metadata"]["generation"] + 1
            new["status"] = before.get("status", {})
        self.kube.objects[at] = new
        self.cache.observe(json.loads(json.dumps(new)), deleted=False)

    def secret(self, value: str, version: str = "1") -> None:
        self.kube.objects["Secret", "shop", "apm-mongodb"] = {
            "kind": "Secret",
            "metadata": {"name": "apm-mongodb", "namespace": "shop", "uid": "s", "resourceVersion": version},
            "data": {"uri": base64.b64encode(value.encode()).decode()},
        }

    def change(self, kind: str, name: str = "one", **content: Any) -> None:
        """Somebody changes a child, and the watch tells."""
        child = self.kube.objects[kind, "shop", name]
        self.kube.version += 1
        child["metadata"]["resourceVersion"] = str(self.kube.version)
        for path, value in content.items():
            *parents, last = path.split("__")
            at = child
            for parent in parents:
                at = at.setdefault(parent, {})
            at[last] = value
        self.cache.observe(json.loads(json.dumps(child)), deleted=False)

    def rolled_out(self) -> None:
        replicas = self.kube.objects["Deployment", "shop", "one"]["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        self.change("Deployment", status={"observedGeneration": 1, **counts})

    async def reconcile(self, failures: int = 0) -> Outcome:
        return await self.reconciler.reconcile(KEY, failures)

    @property
    def status(self) -> dict[str, Any]:
        return self.kube.objects[AGENTS.kind, "shop", "one"].get("status", {})

    @property
    def ready(self) -> tuple[str, str]:
        found = next(c for c in self.status["conditions"] if c["type"] == "Ready")
        return found["status"], found["reason"]

    @property
    def network(self) -> dict[str, Any]:
        """The condition NetworkReady."""
        return next(c for c in self.status["conditions"] if c["type"] == "NetworkReady")

    @property
    def policy(self) -> dict[str, Any]:
        """Spec of the agent's NetworkPolicy."""
        spec: dict[str, Any] = self.kube.objects["NetworkPolicy", "shop", "one"]["spec"]
        return spec

    def events(self) -> list[str]:
        """Reasons of the Events so far, sorted."""
        return sorted(found["reason"] for found in self.kube.objects.values() if found["kind"] == "Event")

    def service(self, name: str, namespace: str = "shop", **spec: Any) -> None:
        """Somebody else's Service, of which no watch tells."""
        self.kube.objects["Service", namespace, name] = {
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"},
            "spec": {"ports": [{"port": 80, "targetPort": 8000}], "selector": {"app": name}} | spec,
        }

    def api_server_at(self, *addresses: str) -> None:
        """The API server's own Service, and what is behind it."""
        ports = [{"name": "https", "port": 443}]
        self.service("kubernetes", "default", selector=None, clusterIPs=["10.96.0.1"], ports=ports)
        self.kube.objects["EndpointSlice", "default", "kubernetes"] = {
            "kind": "EndpointSlice",
            "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": list(addresses)}],
            "ports": [{"name": "https", "port": 6443}],
        }
