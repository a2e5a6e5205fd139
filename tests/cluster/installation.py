"""The product in the cluster: MongoDB, and the operator by its chart."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cluster import gobuild, images, mongodb, settings
from cluster.controlplane import kubectl
from cluster.errors import ClusterError
from cluster.lock import exclusive
from cluster.progress import step
from cluster.provider import Provider, choose, deploy
from cluster.settings import REPOSITORY

AGENTS_NAMESPACE = "valeo-neuroerp"
OPERATOR_NAMESPACE = "apm-system"
MONITORING_NAMESPACE = "monitoring"
"""Whose pods may scrape metrics; whoever tests that makes it."""
RELEASE = "apm"
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@contextmanager
def mongodb_uri() -> Iterator[str]:
    """The URI of the MongoDB in the local cluster; both are brought up where they are not."""
    cluster = choose()
    cluster.up()
    Installation(cluster).ensure_mongodb()
    with mongodb.reached(cluster, AGENTS_NAMESPACE) as uri:
        yield uri


@dataclass(frozen=True)
class Installation:
    """What a user installs, in a cluster that is up."""

    cluster: Provider

    def ensure(self, *values: str) -> None:
        """Bring everything to the state of this work tree; `values` are further `--set` values of the chart."""
        self.ensure_mongodb()
        self.ensure_operator(*values)

    def ensure_mongodb(self) -> None:
        """Have MongoDB run in the agents' namespace."""
        self._namespace(AGENTS_NAMESPACE)
        with step("MongoDB"):
            mongodb.ensure(self.cluster, AGENTS_NAMESPACE)

    def ensure_operator(self, *values: str) -> None:
        """Have the operator run as this work tree has it."""
        for namespace in (OPERATOR_NAMESPACE, AGENTS_NAMESPACE):
            self._namespace(namespace)
        operator, runtime = deploy(self.cluster, images.OPERATOR), deploy(self.cluster, images.RUNTIME)
        backup = deploy(self.cluster, images.BACKUP)
        with exclusive(settings.read().state / "install.lock"), step("installing the operator with Helm"):
            self._clear_interrupted()
            self.helm(
                "upgrade",
                "--install",
                RELEASE,
                str(REPOSITORY / "charts/apm-operator"),
                f"--namespace={OPERATOR_NAMESPACE}",
                "--wait",
                "--timeout=3m",
                *_image_values("image", operator),
                *_image_values("runtimeImage", runtime),
                *_image_values("backupImage", backup),
                f"--set=secrets.namespaces={{{AGENTS_NAMESPACE}}}",
                f"--set-json=network={json.dumps(self._network())}",
                *(f"--set={value}" for value in values),
            )

    def copy_mongodb_secret(self, namespace: str) -> None:
        """Give `namespace` the Secret apm-mongodb that the agents' namespace has."""
        secret = json.loads(
            self.kubectl("get", "secret/apm-mongodb", f"--namespace={AGENTS_NAMESPACE}", "--output=json")
        )
        secret["metadata"] = {"name": "apm-mongodb"}
        self.kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", stdin=json.dumps(secret))

    def helm(self, *arguments: str) -> str:
        """Output of helm.

        Raises:
            ClusterError: helm failed; the message is what it said.
        """
        command = [str(gobuild.program("helm")), f"--kubeconfig={self.cluster.kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"helm {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl as administrator."""
        return kubectl(self.cluster.kubeconfig, *arguments, stdin=stdin)

    def _clear_interrupted(self) -> None:
        """Remove a release whose installation was interrupted: Helm refuses to go on with it."""
        within = f"--namespace={OPERATOR_NAMESPACE}"
        pending = self.helm("list", within, f"--filter=^{RELEASE}$", "--pending", "--short")
        if pending.strip():
            self.helm("uninstall", RELEASE, within, "--wait")

    def _network(self) -> dict[str, Any]:
        """The chart's values that say where, in this cluster, what agents need is."""
        query = ["get", "endpointslice/kubernetes", "--namespace=default", "--output=json"]
        found = json.loads(self.kubectl(*query))
        addresses = sorted(f"{address}/32" for each in found["endpoints"] for address in each["addresses"])
        return {
            "dns": {"cidrs": list(self.cluster.name_servers)},
            "apiServer": {"cidrs": addresses, "port": found["ports"][0]["port"]},
            "scraper": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING_NAMESPACE}}},
        }

    def _namespace(self, name: str) -> None:
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _RESTRICTED}}
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))


def _image_values(key: str, reference: str) -> list[str]:
    repository, _, tag = reference.rpartition(":")
    return [f"--set={key}.repository={repository}", f"--set-string={key}.tag={tag}"]
