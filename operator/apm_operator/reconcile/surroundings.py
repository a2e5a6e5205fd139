"""Whom an agent's pods are to reach and be reached by, beside what its own spec says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apm_operator.api.network import Network
from apm_operator.manifests.agent import Surroundings
from apm_operator.queue import Key
from apm_operator.reconcile import endpoints, reach
from apm_operator.reconcile.endpoints import Endpoint
from apm_operator.reconcile.secrets import SecretUse

if TYPE_CHECKING:
    from apm_operator.api.agentdeployment import AgentDeploymentSpec
    from apm_operator.network import ClusterNetwork
    from apm_operator.reconcile.apiserver import Addresses, ApiServer
    from apm_operator.reconcile.callers import CallIndex
    from apm_operator.reconcile.certificates import Certificates
    from apm_operator.reconcile.keda import Keda
    from apm_operator.reconcile.secrets import Secrets
    from apm_operator.reconcile.services import Services


_NO_API_SERVER = (
    "API server: its addresses are not known, since the operator may not read Service kubernetes and its "
    "EndpointSlices in namespace default: leave the chart's network.apiServer.role true, or set its "
    "network.apiServer.cidrs (kubectl --namespace=default get endpointslices kubernetes shows them), or name them in "
    "spec.network.egressTo"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a spec makes an agent's pods connect to.

    Attributes:
        uri: where MongoDB's connection string lies.
        peers: namespace and name of the agents that it asks.
        api: whether they call the API server.
        keda: whether KEDA is to scale it.
    """

    endpoints: tuple[Endpoint, ...] = ()
    uri: SecretUse | None = None
    peers: tuple[tuple[str, str], ...] = ()
    network: Network = field(default_factory=Network)
    api: bool = False
    keda: bool = False

    @classmethod
    def of(cls, spec: AgentDeploymentSpec, peers: tuple[tuple[str, str], ...]) -> Wanted:
        """Read it out of a spec."""
        ref = spec.state.mongodb.uri_secret_ref if spec.state is not None else None
        uri = SecretUse(ref.name, ref.key) if ref is not None else None
        keda = spec.autoscaling is not None and spec.autoscaling.target_queue_depth is not None
        return cls(endpoints.of_spec(spec), uri, peers, spec.network, bool(spec.permissions), keda)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What became of it.

    Attributes:
        unknown: what the policy can't open, one sentence each that says what to do.
        loop: names of the agents by which all of the agent's events come back to it, see `CallIndex.loop`.
    """

    surroundings: Surroundings = field(default_factory=Surroundings)
    unknown: tuple[str, ...] = ()
    loop: tuple[str, ...] = ()


class Neighbours:
    """Finds out where what a spec names is."""

    def __init__(
        self,
        cluster: ClusterNetwork,
        calls: CallIndex,
        secrets: Secrets,
        services: Services,
        api_server: ApiServer,
        *,
        certificates: Certificates,
        keda: Keda,
        token_review_url: str,
    ) -> None:
        self._cluster = cluster
        self._calls = calls
        self._secrets = secrets
        self._services = services
        self._api_server = api_server
        self._certificates = certificates
        self._keda = keda
        self._token_review_url = token_review_url

    async def look(self, key: Key, wanted: Wanted) -> Outlook:
        """The present state; the Secrets that the agent uses have been looked at.

        Raises:
            ApiError: a Service or the API server's addresses could not be read for a reason that may pass.
        """
        stored = self._secrets.endpoints(key, wanted.uri) if wanted.uri is not None else ()
        all_wanted = (*wanted.endpoints, *(stored or ()))
        found = await self._services.look(key, reach.names(all_wanted, key.namespace))
        reached = reach.resolve(all_wanted, key.namespace, found, wanted.network)
        unknown = reached.unknown
        if stored is None and wanted.uri is not None and not wanted.network.egress_to:
            unknown += (_no_uri(wanted.uri),)
        api_server = await self._look_for_api_server(key, wanted)
        if wanted.api and not api_server and not wanted.network.egress_to:
            unknown += (_NO_API_SERVER,)
        keda = wanted.keda and await self._keda.installed()
        senders = self._calls.senders(key) if keda else ()
        surroundings = Surroundings(
            cluster=self._cluster,
            callers=tuple((caller.namespace, caller.name) for caller in self._calls.callers(key)),
            peers=wanted.peers,
            plain=tuple(peer for peer in wanted.peers if self._calls.plain(Key(*peer))),
            sleeping=tuple(peer for peer in _reached(key, wanted) if self._calls.sleeps(Key(*peer))),
            targets=reached.targets,
            api_server=api_server,
            authorities=self._certificates.trusted(key),
            token_review_url=self._token_review_url,
            keda=keda,
            senders=tuple((f"{other.namespace}/{other.name}", sink) for other, sink in senders),
        )
        return Outlook(surroundings, unknown, tuple(other.name for other in self._calls.loop(key)))

    async def _look_for_api_server(self, key: Key, wanted: Wanted) -> Addresses:
        if wanted.api:
            return await self._api_server.look(key)
        self._api_server.release(key)
        return ()

    def release(self, key: Key) -> None:
        """An agent is gone."""
        self._services.release(key)
        self._api_server.release(key)


def _reached(key: Key, wanted: Wanted) -> list[tuple[str, str]]:
    """The agents that an agent's pods may connect to."""
    named = ((each.namespace or key.namespace, each.agent) for each in wanted.network.egress_to)
    return sorted({*wanted.peers, *((namespace, name) for namespace, name in named if name is not None)})


def _no_uri(use: SecretUse) -> str:
    return (
        f"MongoDB: its hosts are not known, since key {use.key} of Secret {use.name} is missing, holds no MongoDB "
        "connection string, or may not be read by the operator: mend that, or name its pods in spec.network.egressTo"
    )
