"""Rules between fields, in CEL, that the API server checks when a resource is written.

Each message says what to do. Rules that follow from the types alone are made by the generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agent_runtime.spec.events import StartSpec, SubscriptionSpec
from agent_runtime.spec.integrations import IntegrationSpec, KnowledgeBaseSpec
from agent_runtime.spec.model import ModelSpec
from agent_runtime.spec.node_base import NodeBase
from agent_runtime.spec.scalars import END, NOT_ZERO
from agent_runtime.spec.sinks import SinkSpec
from agent_runtime.spec.tool import ToolSpec
from apm_operator.api.agentdeployment import AgentDeploymentSpec
from apm_operator.api.autoscaling import (
    FEWEST_ABOVE_MOST,
    LONGEST_STABILIZATION,
    NO_TARGET,
    NONE_WITHOUT_QUEUE,
    TOO_LONG,
    Autoscaling,
)
from apm_operator.api.backup_rules import BACKUP_RULES
from apm_operator.api.backupjob import JobNetwork
from apm_operator.api.env import EnvFrom, EnvSource, EnvVar
from apm_operator.api.group import RESERVED_ENV_NAMES, RESERVED_ENV_PREFIX, RESERVED_KEY_PREFIXES
from apm_operator.api.network import (
    WIDEST_IPV4,
    WIDEST_IPV6,
    WIDEST_NAT64,
    WIDEST_PRIVATE_IPV6,
    Network,
    NetworkPeer,
)
from apm_operator.api.permissions import LIMITS, Permission
from apm_operator.api.pods import PodMetadata, Resources
from apm_operator.api.report_rules import REPORT_RULES
from apm_operator.api.rule import Rule
from apm_operator.api.tls import LONGEST_LIFE, SHORTEST_ISSUED_LIFE, SHORTEST_LIFE, Tls


def _sources(*names: str) -> str:
    return " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)


def _no_reserved_keys(field: str) -> Rule:
    taken = " || ".join(f"k.startsWith('{prefix}')" for prefix in RESERVED_KEY_PREFIXES)
    names = " and ".join(f"`{prefix}`" for prefix in RESERVED_KEY_PREFIXES)
    return Rule(
        f"!has(self.{field}) || !self.{field}.exists(k, {taken})",
        f"keys that begin with {names} belong to the operator: use a prefix of your own",
    )


def _request_within_limit(resource: str) -> Rule:
    def amount(part: str) -> str:
        value = f"self.{part}['{resource}']"
        return f"quantity(type({value}) == int ? string({value}) : {value})"

    return Rule(
        f"!has(self.requests) || !has(self.limits) || !('{resource}' in self.requests) || "
        f"!('{resource}' in self.limits) || !{amount('requests')}.isGreaterThan({amount('limits')})",
        f"`requests.{resource}` is larger than `limits.{resource}`: lower the request or raise the limit",
    )


def _no_wide_block(field: str) -> Rule:
    shortest = (
        f"(!peer.cidr.contains(':') ? {WIDEST_IPV4} : peer.cidr.lowerAscii().matches('^f[cd]') ? {WIDEST_PRIVATE_IPV6} "
        f": peer.cidr.lowerAscii().startsWith('64:ff9b:') ? {WIDEST_NAT64} : {WIDEST_IPV6})"
    )
    return Rule(
        f"self.allowInternet || !has(self.{field}) || "
        f"self.{field}.all(peer, !has(peer.cidr) || int(peer.cidr.split('/')[1]) >= {shortest})",
        f"a `cidr` in `{field}` takes in public addresses: set `allowInternet: true`, or name a smaller block "
        f"(IPv4 from /{WIDEST_IPV4}; IPv6 from /{WIDEST_IPV6}, private ones from /{WIDEST_PRIVATE_IPV6})",
    )


_PEER_RULES = (
    Rule(
        "(has(self.agent) ? 1 : 0) + (has(self.cidr) ? 1 : 0) + "
        "(has(self.namespaceSelector) || has(self.podSelector) ? 1 : 0) == 1",
        "set exactly one of `agent`, `cidr`, and selectors (`namespaceSelector`, `podSelector` or both)",
    ),
    Rule(
        "!has(self.__namespace__) || has(self.agent)",
        "`namespace` has a meaning only with `agent`: use `namespaceSelector` for pods, or remove it",
    ),
    Rule(
        "!has(self.except) || size(self.except) == 0 || has(self.cidr)",
        "`except` has a meaning only with `cidr`: remove it",
    ),
)

_MODEL_RULES = (
    Rule(
        "self.provider != 'openai' || has(self.baseURL)",
        "set `baseURL`, since `provider` is `openai`: the address of the API, such as `http://llm.models.svc:8000/v1`",
    ),
    Rule(
        "self.provider != 'openai' || (has(self.model) && self.model != '')",
        "set `model`, since `provider` is `openai`: the model's name as the endpoint knows it",
    ),
    Rule(
        "self.provider != 'openai' || !has(self.script) || size(self.script) == 0",
        "`script` has no meaning where `provider` is `openai`: remove it, or set `provider: scripted`",
    ),
    Rule(
        "self.provider != 'scripted' || (has(self.script) && size(self.script) > 0)",
        "set `script`, since `provider` is `scripted`: the rules by which it answers",
    ),
    Rule(
        "self.provider != 'scripted' || !has(self.script) || size(self.script) == 0 || "
        "!has(self.script[size(self.script) - 1].when)",
        "the last rule of `script` must have no `when`, so that there is always an answer: add one without",
    ),
    Rule(
        "self.provider != 'scripted' || (!has(self.baseURL) && !has(self.apiKeySecretRef))",
        "`baseURL` and `apiKeySecretRef` have no meaning where `provider` is `scripted`: remove them",
    ),
)

_SPEC_RULES = (
    Rule(
        "has(self.workflow) || has(self.graph)",
        "set either `workflow` (nodes and edges) or `graph` (an own LangGraph graph in an own image)",
    ),
    Rule(
        "!has(self.workflow) || !has(self.graph)",
        "`workflow` and `graph` exclude each other: remove one of them",
    ),
    Rule(
        "!has(self.graph) || has(self.image)",
        "set `image`, since `graph` names code that the operator's own image does not have",
    ),
    Rule(
        "!has(self.graph) || !has(self.workflows) || size(self.workflows) == 0",
        "`workflows` has no meaning where `graph` is set: remove it",
    ),
    Rule(
        "self.replicas <= 1 || has(self.state)",
        "set `state`, or `replicas` to 1: without it, each pod would know only its own conversations",
    ),
    Rule(
        "!has(self.autoscaling) || has(self.state)",
        "set `state`, or remove `autoscaling`: without it, each pod would know only its own conversations, and they "
        "would end with it",
    ),
)

_AUTOSCALING_RULES = (
    Rule("self.minReplicas <= self.maxReplicas", FEWEST_ABOVE_MOST),
    Rule(
        "has(self.targetCPUUtilizationPercentage) || has(self.targetMemoryUtilizationPercentage) || "
        "has(self.targetQueueDepth)",
        NO_TARGET,
    ),
    Rule("self.minReplicas > 0 || has(self.targetQueueDepth)", NONE_WITHOUT_QUEUE),
    Rule(f"duration(self.scaleDownStabilization) <= duration('{LONGEST_STABILIZATION}')", TOO_LONG),
)

_PROOF_RULES = (
    Rule(
        "!has(self.tls) || self.tls.mode != 'Disabled' || has(self.auth)",
        "without TLS nobody can prove who they are by a certificate: set `auth`, where `anonymous: true` lets "
        "everybody in, or `tls.mode: Enabled`",
    ),
    Rule(
        "!has(self.tls) || self.tls.mode != 'Disabled' || !has(self.auth) || !has(self.auth.serviceAccounts)",
        "`auth.serviceAccounts` needs the certificate by which the operator knows the agent that asks it about tokens: "
        "remove it, or set `tls.mode: Enabled`",
    ),
)

_KEY_RULE = Rule(
    "!has(self.apiKeySecretRef) || has(self.baseURL)",
    "`apiKeySecretRef` holds the key for `baseURL`, which is missing: set it, or remove the key",
)

_ENV_RULES = (
    Rule(
        f"!self.name.startsWith('{RESERVED_ENV_PREFIX}') && !(self.name in {list(RESERVED_ENV_NAMES)!r})",
        f"`POD_NAME`, `POD_NAMESPACE` and names that begin with `{RESERVED_ENV_PREFIX}` belong to the operator: "
        "use another name",
    ),
    Rule(
        "!has(self.value) || !has(self.valueFrom)",
        "`value` and `valueFrom` exclude each other: remove one of them",
    ),
)

_TLS_RULES = (
    Rule(
        f"duration(self.duration) >= duration('{SHORTEST_LIFE}') && "
        f"duration(self.duration) <= duration('{LONGEST_LIFE}')",
        f"`duration` must be from `{SHORTEST_LIFE}` to `{LONGEST_LIFE}`",
    ),
    Rule(
        f"!has(self.issuerRef) || duration(self.duration) >= duration('{SHORTEST_ISSUED_LIFE}')",
        f"cert-manager issues no certificate for less than `{SHORTEST_ISSUED_LIFE}`: set a longer `duration`",
    ),
    Rule(
        "!has(self.issuerRef) || self.mode == 'Enabled'",
        "`issuerRef` has no meaning where `mode` is `Disabled`: remove it, or set `mode: Enabled`",
    ),
)

RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        AgentDeploymentSpec.__name__: (*_SPEC_RULES, *_PROOF_RULES),
        Autoscaling.__name__: _AUTOSCALING_RULES,
        ModelSpec.__name__: _MODEL_RULES,
        NodeBase.__name__: (
            Rule(f"self.name != '{END}'", f"`{END}` is the target that ends a workflow: give the node another name"),
            Rule(
                "self.uses != 'agent' || (has(self.with) && has(self.with.ref) != has(self.with.url))",
                "set exactly one of `with.ref` and `with.url`, since `uses` is `agent`: which agent to ask",
            ),
            Rule(
                "!has(self.with) || !has(self.with.bearerTokenSecretRef) || has(self.with.url)",
                "`with.bearerTokenSecretRef` has a meaning only with `with.url`: remove it",
            ),
            Rule(
                "!has(self.with) || !has(self.with.onTimeout) || has(self.with.timeout)",
                "`with.onTimeout` has a meaning only with `with.timeout`: set that as well",
            ),
        ),
        IntegrationSpec.__name__: (_KEY_RULE,),
        KnowledgeBaseSpec.__name__: (_KEY_RULE,),
        ToolSpec.__name__: (
            Rule(
                f"{_sources('http', 'integration', 'mcp')} == 1", "set exactly one of `http`, `integration` and `mcp`"
            ),
        ),
        StartSpec.__name__: (
            Rule("has(self.message) || has(self.input)", "set `message`, `input`, or both: what the run begins with"),
        ),
        SubscriptionSpec.__name__: (
            Rule(f"{_sources('start', 'resume')} == 1", "set exactly one of `start` and `resume`"),
        ),
        SinkSpec.__name__: (
            Rule(f"{_sources('agent', 'url')} == 1", "set exactly one of `agent` and `url`"),
            Rule(
                "!has(self.agent) || !(has(self.headers) || has(self.bearerTokenSecretRef) || has(self.apiKeySecretRef)"
                " || has(self.signingKeySecretRef))",
                "an agent of the cluster knows this one by its certificate: remove headers and keys, or set `url`",
            ),
        ),
        "Duration": (Rule("self.matches('[1-9]')", NOT_ZERO),),
        EnvVar.__name__: _ENV_RULES,
        EnvSource.__name__: (
            Rule(
                f"{_sources('secretKeyRef', 'configMapKeyRef', 'fieldRef', 'resourceFieldRef')} == 1",
                "set exactly one of `secretKeyRef`, `configMapKeyRef`, `fieldRef` and `resourceFieldRef`",
            ),
        ),
        EnvFrom.__name__: (
            Rule(f"{_sources('configMapRef', 'secretRef')} == 1", "set exactly one of `configMapRef` and `secretRef`"),
        ),
        Permission.__name__: tuple(Rule(limit.cel, limit.message) for limit in LIMITS),
        Network.__name__: (_no_wide_block("ingressFrom"), _no_wide_block("egressTo")),
        NetworkPeer.__name__: _PEER_RULES,
        PodMetadata.__name__: (_no_reserved_keys("labels"), _no_reserved_keys("annotations")),
        Tls.__name__: _TLS_RULES,
        Resources.__name__: (_request_within_limit("cpu"), _request_within_limit("memory")),
        **BACKUP_RULES,
        **REPORT_RULES,
        JobNetwork.__name__: (*BACKUP_RULES[JobNetwork.__name__], _no_wide_block("egressTo")),
    }
)
"""Rules by the name of the model or scalar that they hold for; those of NodeBase hold for every kind of node."""

NAME_RULE = Rule(
    "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "`metadata.name` names the agent's Service: use at most 63 lower-case letters, digits and `-`, "
    "beginning with a letter and ending with a letter or digit",
)
"""A Service's name is stricter than a resource's, see RFC 1035."""
