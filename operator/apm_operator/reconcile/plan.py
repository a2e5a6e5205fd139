"""What an agent is to consist of: read from its spec once for each generation, kept as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from agent_runtime.spec.agent import AgentIdentity, AgentSpec, RuntimeConfig
from agent_runtime.spec.checks import check
from agent_runtime.spec.mermaid import mermaid
from agent_runtime.spec.node import AgentNode
from agent_runtime.spec.secret import SecretKeyRef
from apm_operator.kinds import (
    APPLIED_HASH,
    BY_KIND,
    CONFIG_MAPS,
    SCALED_OBJECTS,
    SECRETS,
    TRIGGER_AUTHENTICATIONS,
    Resource,
)
from apm_operator.manifests import (
    activator,
    configmap,
    deployment,
    horizontalpodautoscaler,
    networkpolicy,
    poddisruptionbudget,
    role,
    rolebinding,
    scaledobject,
    service,
    serviceaccount,
    trust,
)
from apm_operator.manifests.agent import Agent, Surroundings, canonical, digest, service_url, with_metadata
from apm_operator.reconcile import grants
from apm_operator.reconcile.secrets import SecretUse
from apm_operator.reconcile.surroundings import Outlook, Wanted

if TYPE_CHECKING:
    from agent_runtime.spec.workflow import WorkflowSpec
    from apm_operator.api.agentdeployment import AgentDeployment, AgentDeploymentSpec
    from apm_operator.api.permissions import Permission
    from apm_operator.api.tls import Tls

# The Deployment comes after what its pods mount and their fence; only what scales it comes after it.
_BUILDERS = (
    serviceaccount.build,
    role.build,
    rolebinding.build,
    configmap.build,
    trust.build,
    service.build,
    networkpolicy.build,
    poddisruptionbudget.build,
    deployment.build,
    activator.awake_service,
    activator.status_service,
    activator.network_policy,
    activator.deployment,
    horizontalpodautoscaler.build,
)
_FOR_KEDA = (scaledobject.authentication, scaledobject.build)
_RESOURCES = {**BY_KIND, **{each.kind: each for each in (SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS)}}
_PROBLEMS_TOLD = 10


@dataclass(frozen=True, slots=True)
class Manifest:
    """A child as it is to be applied."""

    resource: Resource
    name: str
    body: bytes
    digest: str

    @property
    def wanted(self) -> dict[str, Any]:
        """The object itself."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What follows from one generation of a spec, one content of its Secrets and one state of its surroundings.

    Attributes:
        least: the fewest pods that the autoscaler is to have; None where none sets their number.
        keda: what KEDA is asked by, the ScaledObject last; empty where it is not.
        keda_first: the ScaledObject until a pod of this configuration has been ready; None where it is the same.
        keda_missing: whether it can't be asked, although the spec wants it.
        wanted: whom the pods are to reach.
        outlook: where those were when the plan was made.
        problems: what is wrong with the workflow, as one text; "" where nothing is. Then there are no manifests.
        activator: name of what stands in for the agent while it has no pods; "" where nothing does.
        direct: the agent's Service without that; None where it is the same.
        refused: which permissions the operator may not grant, as one text; "" where there are none.
        rests: name of the Restore during which there are to be no pods; "" where there is none.
        trust: the one of them that is kept up to date even while nothing else is; None without TLS.
        model: what the printer column `Model` shows.
    """

    generation: int
    least: int | None
    keda: tuple[Manifest, ...]
    keda_first: Manifest | None
    keda_missing: bool
    suspended: bool
    secrets: frozenset[SecretUse]
    secrets_hash: str
    wanted: Wanted
    outlook: Outlook
    manifests: tuple[Manifest, ...]
    trust: Manifest | None
    problems: str
    refused: str
    url: str
    selector: str
    workflow: str
    model: str
    config_hash: str
    config_map: str
    has_state: bool
    tls: Tls
    activator: str = ""
    direct: Manifest | None = None
    rests: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """What agents run that bring no image of their own; and the operator's own image, which their activators run."""

    image: str
    pull_policy: str
    own: str = ""
    own_pull_policy: str = "IfNotPresent"


def secret_uses(spec: AgentDeploymentSpec, mounted: Iterable[SecretKeyRef]) -> frozenset[SecretUse]:
    """The Secrets and ConfigMaps whose content decides what the pods do: mounted ones and those of the environment."""
    uses = {SecretUse(ref.name, ref.key) for ref in mounted}
    uses.update(_environment(spec))
    if spec.auth is not None and spec.auth.api_keys is not None:
        uses.add(SecretUse(spec.auth.api_keys.secret_ref.name, "", live=True))
    return frozenset(uses)


def mounted_secrets(spec: AgentSpec) -> tuple[SecretKeyRef, ...]:
    """The Secret keys that the runtime reads as files, wherever the runtime's part of the spec names them."""
    found = {ref for name in AgentSpec.model_fields for ref in _references(getattr(spec, name))}
    return tuple(sorted(found, key=lambda ref: (ref.name, ref.key)))


def _references(value: Any) -> Iterator[SecretKeyRef]:
    if isinstance(value, SecretKeyRef):
        yield value
    elif isinstance(value, BaseModel):
        for _, field in value:
            yield from _references(field)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _references(item)


def _environment(spec: AgentDeploymentSpec) -> Iterator[SecretUse]:
    for source in (variable.value_from for variable in spec.env if variable.value_from is not None):
        for kind, key in ((SECRETS.kind, source.secret_key_ref), (CONFIG_MAPS.kind, source.config_map_key_ref)):
            if key is not None:
                yield SecretUse(key.name, key.key, bool(key.optional), kind)
    for origin in spec.env_from:
        for kind, whole in ((SECRETS.kind, origin.secret_ref), (CONFIG_MAPS.kind, origin.config_map_ref)):
            if whole is not None:
                yield SecretUse(whole.name, "", bool(whole.optional), kind)


def make(
    agent: AgentDeployment,
    mounted: tuple[SecretKeyRef, ...],
    uses: frozenset[SecretUse],
    secrets_hash: str,
    images: Images,
    *,
    wanted: Wanted,
    outlook: Outlook,
    grantable: tuple[Permission, ...] = (),
    rests: str = "",
) -> Plan:
    """Build every child of an agent."""
    spec, metadata = agent.spec, agent.metadata
    if rests:
        spec = spec.model_copy(update={"replicas": 0})
    problems = check(spec)
    refused = grants.beyond(spec.permissions, grantable)
    context = Agent(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        spec=spec,
        config=config(spec, metadata.name, metadata.namespace, outlook.surroundings),
        mounted=mounted,
        secrets_hash=secrets_hash,
        permissions=() if refused else spec.permissions,
        default_image=images.image,
        default_pull_policy=images.pull_policy,
        activator_image=images.own,
        activator_pull_policy=images.own_pull_policy,
        surroundings=outlook.surroundings,
    )
    return Plan(
        generation=metadata.generation,
        least=_least(context),
        keda=() if problems else tuple(_manifests(context, _FOR_KEDA)),
        keda_first=None if problems else next(_manifests(context, (scaledobject.begin,)), None),
        keda_missing=wanted.keda and spec.scales_itself and not outlook.surroundings.keda,
        suspended=spec.suspend,
        secrets=uses,
        secrets_hash=secrets_hash,
        wanted=wanted,
        outlook=outlook,
        manifests=() if problems else tuple(_manifests(context, _BUILDERS)),
        trust=next(_manifests(context, (trust.build,)), None),
        problems=_told([f"{problem.path}: {problem.message}" for problem in problems]),
        refused=grants.told(refused),
        url=context.url,
        selector=",".join(f"{name}={value}" for name, value in context.selector.items()),
        workflow=mermaid(spec.workflow) if spec.workflow is not None and not problems else "",
        model=spec.shown_model,
        config_hash=context.config_hash,
        config_map=context.config_map,
        has_state=spec.state is not None,
        tls=spec.tls,
        activator=activator.name(context.name) if context.sleeps and not problems else "",
        direct=None if problems else next(_manifests(context, (service.direct,)), None),
        rests=rests,
    )


def _least(agent: Agent) -> int | None:
    wanted = agent.spec.autoscaling
    if wanted is None or not agent.spec.scales_itself:
        return None
    return wanted.min_replicas if agent.surroundings.keda else max(wanted.min_replicas, 1)


def config(spec: AgentDeploymentSpec, name: str, namespace: str, around: Surroundings) -> str:
    """The runtime's config file: the same text for the same spec and surroundings."""
    asks_for_tokens = spec.auth is not None and spec.auth.service_accounts is not None
    runtime = RuntimeConfig(
        agent=AgentIdentity(name=name, namespace=namespace),
        spec=AgentSpec.model_construct(
            **{each: getattr(spec, each) for each in AgentSpec.model_fields if each in spec.model_fields_set}
        ),
        peers={peer: service_url(peer, namespace, tls=(namespace, peer) not in around.plain) for peer in peers(spec)},
        tls=spec.tls.enabled,
        token_review_url=around.token_review_url if asks_for_tokens and spec.tls.enabled else None,
    )
    return canonical(runtime.model_dump(mode="json", by_alias=True, exclude_defaults=True)).decode()


def wanted(spec: AgentDeploymentSpec, namespace: str) -> Wanted:
    """Whom the pods of an agent in `namespace` are to reach."""
    return Wanted.of(spec, tuple((namespace, peer) for peer in peers(spec)))


def peers(spec: AgentSpec) -> list[str]:
    """Names of the agents that the workflow asks, and of those that get events."""
    workflows: list[WorkflowSpec] = [*spec.workflows] + ([spec.workflow] if spec.workflow else [])
    nodes = (node for flow in workflows for node in flow.nodes)
    asked = {node.with_.ref for node in nodes if isinstance(node, AgentNode)}
    sinks = spec.events.sinks if spec.events is not None else ()
    return sorted(name for name in asked | {sink.agent for sink in sinks} if name is not None)


def _manifests(context: Agent, builders: Iterable[Callable[[Agent], dict[str, Any] | None]]) -> Iterator[Manifest]:
    for build in builders:
        body = build(context)
        if body is None:
            continue
        bare = canonical(body)
        mark = digest(bare)
        marked = with_metadata(bare, annotations={APPLIED_HASH: mark})
        yield Manifest(_RESOURCES[body["kind"]], body["metadata"]["name"], marked, mark)


def _told(problems: list[str]) -> str:
    more = len(problems) - _PROBLEMS_TOLD
    return "; ".join(problems[:_PROBLEMS_TOLD]) + (f"; and {more} more" if more > 0 else "")
