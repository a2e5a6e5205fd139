"""An agent's certificate: the names in it, its Secret, and what cert-manager is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent_runtime.spec.identity import agent_uri
from agent_runtime.spec.scalars import seconds
from apm_operator.kinds import CERTIFICATES, GROUP, SECRETS
from apm_operator.manifests.agent import owned
from apm_operator.pki import holding
from apm_operator.pki.certificates import Pair, Subject
from apm_operator.pki.holding import Wanted
from apm_operator.pki.rotation import RENEW_AT

if TYPE_CHECKING:
    from apm_operator.api.tls import IssuerRef, Tls
    from apm_operator.queue import Key


_ISSUED_IN = f"{CERTIFICATES.group}/issuer-group"
"""Annotation by which cert-manager sees that a certificate is of another issuer than the one it is asked to have: a
valid one of which it knows nothing it lets be until it is due."""


SCRAPED = "metrics.apm.valeo-neuroerp.com"
"""A name in the certificates of all agents: Prometheus connects to pods by address, and checks one name for all."""


def name(agent: str) -> str:
    """The name of an agent's Secret, and of cert-manager's Certificate."""
    return f"{agent}-tls"


def service_hosts(service: str, namespace: str) -> tuple[str, ...]:
    """The names under which a Service is reached from inside of the cluster."""
    return (service, f"{service}.{namespace}", f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local")


def wanted(key: Key, tls: Tls) -> Wanted:
    """What an agent's Secret is to hold."""
    subject = Subject(agent_uri(key.namespace, key.name), (*service_hosts(key.name, key.namespace), SCRAPED))
    return Wanted(subject, seconds(tls.duration))


def secret(key: Key, uid: str, wanted: Wanted, pair: Pair, authority: str) -> dict[str, Any]:
    """The Secret with a certificate that the operator has signed."""
    body = owned(SECRETS, name(key.name), key, uid, **holding.content(pair, authority))
    body["metadata"]["annotations"] = holding.marks(wanted) | {_ISSUED_IN: GROUP}
    return body


def forgetting(body: dict[str, Any], before: Mapping[str, str]) -> dict[str, Any]:
    """A Secret's manifest without what cert-manager wrote into its annotations, which an apply can't remove."""
    past = {each: "" for each in before if each.startswith(f"{CERTIFICATES.group}/")}
    body["metadata"]["annotations"] = past | body["metadata"]["annotations"]
    return body


def adopted(key: Key, uid: str, secret_uid: str) -> dict[str, Any]:
    """What is added to a Secret that cert-manager has made: it goes when the agent does."""
    body = owned(SECRETS, name(key.name), key, uid)
    body["metadata"]["uid"] = secret_uid
    return body


def request(key: Key, uid: str, wanted: Wanted, issuer: IssuerRef) -> dict[str, Any]:
    """What cert-manager is asked for; it writes the Secret.

    https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateSpec
    """
    body = owned(CERTIFICATES, name(key.name), key, uid)
    return body | {
        "spec": {
            "secretName": name(key.name),
            "secretTemplate": {"labels": body["metadata"]["labels"]},
            "uris": [wanted.subject.uri],
            # Scrapers trust the operator's authority alone, and an issuer may refuse names that it does not know.
            "dnsNames": [host for host in wanted.subject.hosts if host != SCRAPED],
            "usages": ["digital signature", "server auth", "client auth"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "encoding": "PKCS8", "rotationPolicy": "Always"},
            "duration": _go(wanted.life),
            "renewBefore": _go(wanted.life * (1 - RENEW_AT)),
            "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
        }
    }


def _go(duration: float) -> str:
    """A length of time as the API server gives it back."""
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s"
