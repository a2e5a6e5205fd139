"""What the operator is told about the cluster's network: who resolves names, who scrapes metrics, who it is itself."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from apm_operator.api.network import Cidr
from apm_operator.errors import SettingsError

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Label that the API server puts on every namespace: its name."""


class _Told(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class Pods(_Told):
    """Pods by the labels of their namespace and their own; where both are None, there are none.

    The selectors are as Kubernetes' NetworkPolicy writes them.
    """

    namespace_selector: dict[str, Any] | None = None
    pod_selector: dict[str, Any] | None = None

    def peers(self) -> list[dict[str, Any]]:
        """These pods in a rule of a NetworkPolicy."""
        selectors = {"namespaceSelector": self.namespace_selector, "podSelector": self.pod_selector}
        found = {name: selector for name, selector in selectors.items() if selector is not None}
        return [found] if found else []


class Dns(Pods):
    """Who resolves names: pods, or addresses of nodes; `ports` are those that they listen on."""

    cidrs: tuple[Cidr, ...] = ()
    ports: tuple[int, ...] = (53,)


class ApiServer(_Told):
    """Addresses of the API server, as connections to it arrive there; without them, the operator looks for it."""

    cidrs: tuple[Cidr, ...] = ()
    port: int = Field(default=6443, ge=1, le=65535)


class ClusterNetwork(_Told):
    """The value of `APM_NETWORK`; the chart makes it of its values `network`."""

    dns: Dns = Dns(
        namespace_selector={"matchLabels": {NAMESPACE_LABEL: "kube-system"}},
        pod_selector={"matchLabels": {"k8s-app": "kube-dns"}},
    )
    scraper: Pods = Pods()
    keda: Pods = Pods(
        namespace_selector={"matchLabels": {NAMESPACE_LABEL: "keda"}},
        pod_selector={"matchLabels": {"app": "keda-operator"}},
    )
    operator: Pods = Pods()
    api_server: ApiServer = ApiServer()


def read(text: str) -> ClusterNetwork:
    """Read the setting; "" stands for the defaults.

    Raises:
        SettingsError: it is no such JSON.
    """
    try:
        return ClusterNetwork.model_validate_json(text) if text else ClusterNetwork()
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors())
        raise SettingsError(f"APM_NETWORK can't be read: {told}") from error
