"""What is expected of every agent, and where one deviates from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.spec.identity import agent_uri
from apm_operator.audit import reach
from apm_operator.audit.intact import intact
from apm_operator.audit.rights import Right
from apm_operator.audit.world import POLICIES, AgentWorld

Body = Mapping[str, Any]
_ENFORCE = "pod-security.kubernetes.io/enforce"
_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL)", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"://[^/?#@\s]*:[^/?#@\s]+@")
_DUE = 1 / 6
"""Part of a certificate's life that is left when something is wrong: it is renewed when a third is left."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whom a certificate names (a URI), and when it was made and ends, in seconds since 1970."""

    uri: str
    made: float
    ends: float


@dataclass(frozen=True, slots=True)
class Subject:
    """What the checks look at."""

    world: AgentWorld
    policies: tuple[Body, ...]
    rights: tuple[Right, ...]
    certificate: Certificate | None
    now: float

    @property
    def spec(self) -> Body:
        """The agent's spec as it was written."""
        found: Body = self.world.agent.get("spec") or {}
        return found

    @property
    def name(self) -> str:
        """The agent's name."""
        return str(self.world.agent["metadata"]["name"])

    def condition(self, kind: str) -> Body:
        """A condition of the agent's status; {} where there is none."""
        found = (self.world.agent.get("status") or {}).get("conditions") or ()
        return next((each for each in found if each.get("type") == kind), {})


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: `find` tells, for a person, each way in which an agent does not meet it."""

    id: str
    expects: str
    find: Callable[[Subject], Iterator[str]]


def _internet(subject: Subject) -> Iterator[str]:
    if (subject.spec.get("network") or {}).get("allowInternet"):
        yield "`network.allowInternet` lets it reach every public address"


def _wide_block(subject: Subject) -> Iterator[str]:
    allowed = (subject.spec.get("network") or {}).get("allowInternet")
    for block in reach.blocks(subject.policies):
        if reach.is_wide(block) and not (allowed and (block.get("except") or ":" in block["cidr"])):
            yield f"a NetworkPolicy names {block['cidr']}"
    for policy in subject.policies:
        for direction in reach.DIRECTIONS:
            if reach.is_open(policy, direction):
                yield f"NetworkPolicy {policy['metadata']['name']} has a rule for {direction} that is for everybody"


def _no_policy(subject: Subject) -> Iterator[str]:
    if POLICIES.kind in subject.world.hidden:
        return
    names = {policy["metadata"]["name"] for policy in subject.policies}
    if subject.name not in names:
        yield f"there is no NetworkPolicy {subject.name} that selects its pods"
    for direction in reach.DIRECTIONS:
        if not any(reach.covers(policy, direction) for policy in subject.policies):
            yield f"no NetworkPolicy closes {direction}"


def _other_policy(subject: Subject) -> Iterator[str]:
    for policy in subject.policies:
        spec, name = policy["spec"], policy["metadata"]["name"]
        if name != subject.name and (spec.get("ingress") or spec.get("egress")):
            yield f"NetworkPolicy {name} lets through more than the agent's resource says"
        if name == subject.name and not intact(POLICIES, policy, subject.world.agent):
            yield f"NetworkPolicy {name} is not as the operator has written it"


def _network_unready(subject: Subject) -> Iterator[str]:
    condition = subject.condition("NetworkReady")
    if condition.get("status") == "False":
        yield str(condition.get("message") or condition.get("reason"))


def _plain_http(subject: Subject) -> Iterator[str]:
    if _mode(subject) == "Disabled":
        yield "`tls.mode: Disabled`: it is spoken to in plain HTTP"


def _certificate(subject: Subject) -> Iterator[str]:
    if _mode(subject) == "Disabled" or "Secret" in subject.world.hidden:
        condition = subject.condition("CertificateReady")
        if _mode(subject) != "Disabled" and condition.get("status") == "False":
            yield str(condition.get("message") or condition.get("reason"))
        return
    if subject.certificate is None:
        yield f"there is no certificate in the Secret {subject.name}-tls"
        return
    if subject.certificate.uri != agent_uri(subject.world.agent["metadata"]["namespace"], subject.name):
        yield f"the certificate in the Secret {subject.name}-tls names {subject.certificate.uri or 'no agent'}"
    left, life = subject.certificate.ends - subject.now, subject.certificate.ends - subject.certificate.made
    if left <= 0:
        yield "its certificate has ended"
    elif left < life * _DUE:
        yield f"its certificate ends in {_span(left)} and should have been renewed"


def _anonymous(subject: Subject) -> Iterator[str]:
    if (subject.spec.get("auth") or {}).get("anonymous"):
        yield "`auth.anonymous` lets in who brings no proof"


def _writing_rights(subject: Subject) -> Iterator[str]:
    for right in subject.rights:
        if right.own and right.writes:
            yield f"it may {right.text}"


def _secret_rights(subject: Subject) -> Iterator[str]:
    for right in subject.rights:
        if {"secrets", "*"} & set(right.resources):
            yield f"it may {right.text}, by {right.binding}"


def _other_rights(subject: Subject) -> Iterator[str]:
    for right in subject.rights:
        if not right.own:
            yield f"{right.binding} gives it rights that its resource does not name: {right.text}"


def _unpinned_image(subject: Subject) -> Iterator[str]:
    image = subject.spec.get("image")
    if not image or "@sha256:" in image:
        return
    tag = image.rpartition("/")[2].partition(":")[2]
    yield f"image {image} is named by {'its newest version' if tag in {'', 'latest'} else 'a tag that can move'}"


def _plain_secret(subject: Subject) -> Iterator[str]:
    for variable in subject.spec.get("env") or ():
        value = str(variable.get("value") or "")
        if value and (_SECRET_NAME.search(variable["name"]) or _PASSWORD_IN_URL.search(value)):
            yield f"the variable {variable['name']} holds its value in the resource"


def _secret_in_plain(subject: Subject) -> Iterator[str]:
    for model in subject.spec.get("models") or ():
        if model.get("apiKeySecretRef") and _is_plain(model.get("baseURL")):
            yield f"model {model.get('name')} is sent its key without TLS"
    flows = (subject.spec.get("workflow"), *(subject.spec.get("workflows") or ()))
    for tool in (tool for flow in flows for tool in (flow or {}).get("tools") or ()):
        http = tool.get("http") or {}
        if http.get("bearerTokenSecretRef") and _is_plain(http.get("url")):
            yield f"tool {tool.get('name')} is sent its token without TLS"


def _is_plain(url: str | None) -> bool:
    return str(url).lower().startswith("http://")


def _suspended(subject: Subject) -> Iterator[str]:
    if subject.spec.get("suspend"):
        yield "`suspend` keeps changes, renewed rules among them, from its pods"


def _unrestricted(subject: Subject) -> Iterator[str]:
    namespace = subject.world.around.namespace
    if namespace is not None:
        level = (namespace["metadata"].get("labels") or {}).get(_ENFORCE)
        if level != "restricted":
            yield f"namespace {namespace['metadata']['name']} enforces Pod Security {level or 'nothing'}"


def _mode(subject: Subject) -> str:
    return str((subject.spec.get("tls") or {}).get("mode") or "Enabled")


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


CHECKS = (
    Check("internet", "The agent reaches no public addresses but those it names.", _internet),
    Check("wide-block", "No NetworkPolicy names everybody, or a block wider than a private network.", _wide_block),
    Check("policy-missing", "A NetworkPolicy closes both directions.", _no_policy),
    Check(
        "policy-beyond-resource",
        "Its NetworkPolicy is as the operator wrote it, and no other opens more.",
        _other_policy,
    ),
    Check("network-unready", "All that the spec names can be reached (condition `NetworkReady`).", _network_unready),
    Check("tls-disabled", "The agent serves TLS.", _plain_http),
    Check("certificate", "Its certificate is there, names it, is valid, and renewed in time.", _certificate),
    Check("anonymous", "Every caller brings proof.", _anonymous),
    Check("rights-write", "The agent changes nothing in the Kubernetes API.", _writing_rights),
    Check("rights-secrets", "The agent reads no Secrets in the Kubernetes API.", _secret_rights),
    Check("rights-beyond-resource", "Nobody else has given its ServiceAccount rights.", _other_rights),
    Check("image-not-pinned", "An own image is named by its digest.", _unpinned_image),
    Check("secret-in-env", "No secret stands in the resource itself.", _plain_secret),
    Check("secret-in-plain", "Keys and tokens are sent to models and tools by TLS only.", _secret_in_plain),
    Check("suspended", "The operator keeps the agent in order.", _suspended),
    Check("namespace-not-restricted", "Its namespace enforces Pod Security `restricted`.", _unrestricted),
)
