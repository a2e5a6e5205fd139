"""The operator that the chart installed, as its administrator sees it."""

import json
from dataclasses import dataclass
from typing import Any

from cluster.installation import OPERATOR_NAMESPACE, Installation
from e2e.support.waiting import until

_WITHIN = f"--namespace={OPERATOR_NAMESPACE}"
_SELECTOR = "app.kubernetes.io/component=operator"


@dataclass(frozen=True)
class Operator:
    """The operator's pods and its lease."""

    cluster: Installation

    def pods(self) -> list[dict[str, Any]]:
        """Its pods, without those on their way out."""
        text = self.cluster.kubectl("get", "pods", _WITHIN, f"-l={_SELECTOR}", "--output=json")
        return [pod for pod in json.loads(text)["items"] if "deletionTimestamp" not in pod["metadata"]]

    def scale(self, replicas: int) -> None:
        """Have this many replicas, with the old ones gone."""
        self.cluster.ensure_operator(f"replicas={replicas}")
        until("operator pods", self.pods, lambda pods: len(pods) == replicas, seconds=60)
        if not replicas:
            self.cluster.kubectl("wait", "--for=delete", "pod", _WITHIN, f"-l={_SELECTOR}", "--timeout=60s")

    def wait_until_complete(self) -> None:
        """Wait until every replica is ready."""
        self.cluster.kubectl("rollout", "status", "deployment/apm-operator", _WITHIN, "--timeout=60s")

    def leader(self) -> str:
        """Name of the pod that holds the lease; "" where none does."""
        query = "--output=jsonpath={.spec.holderIdentity}"
        return self.cluster.kubectl("get", "lease", "apm-operator", _WITHIN, query)

    def wait_for_leader(self) -> str:
        """Wait until one of the pods leads; its name."""
        return until(
            "a leading operator",
            self.leader,
            lambda holder: holder in {pod["metadata"]["name"] for pod in self.pods()},
            seconds=60,
        )

    def container(self, pod: str) -> str:
        """Id of the container that runs in a pod."""
        query = "--output=jsonpath={.status.containerStatuses[0].containerID}"
        return self.cluster.kubectl("get", "pod", pod, _WITHIN, query).rpartition("/")[2]

    def restarts(self) -> int:
        """How often containers of the pods were started anew."""
        return sum(status["restartCount"] for pod in self.pods() for status in pod["status"]["containerStatuses"])

    def delete(self, pod: str) -> None:
        """Delete a pod without grace."""
        self.cluster.kubectl("delete", "pod", pod, _WITHIN, "--grace-period=0", "--force")

    def logs(self) -> str:
        """What all its pods have logged so far."""
        return self.cluster.kubectl("logs", _WITHIN, f"-l={_SELECTOR}", "--tail=-1", "--prefix")

    def runtime_image(self) -> str:
        """Image of agents that bring none of their own."""
        path = '{.spec.template.spec.containers[0].env[?(@.name=="APM_RUNTIME_IMAGE")].value}'
        return self.cluster.kubectl("get", "deployment", "apm-operator", _WITHIN, f"--output=jsonpath={path}")
