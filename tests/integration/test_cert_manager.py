"""The operator beside the real cert-manager: asked, followed, waited for, and left again."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from apm_operator.pki.holding import read as read_secret
from cluster import crds
from cluster.controlplane import ControlPlane
from cluster.instances import control_plane as start_control_plane
from integration import certmanager
from integration.certificate_space import CertificateSpace, asker
from integration.operators import Operator, eventually

HOUSE = {"mode": "Enabled", "duration": "1h", "issuerRef": {"name": "house"}}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own: other tests look at a cluster without cert-manager."""
    with start_control_plane() as plane:
        crds.install(plane)
        with certmanager.cert_manager(plane):
            yield plane


@pytest.fixture
def shop(plane: ControlPlane) -> CertificateSpace:
    name = f"test-{secrets.token_hex(4)}"
    plane.kubectl("create", "namespace", name)
    return CertificateSpace(plane, name)


@pytest.fixture
def running(shop: CertificateSpace, tmp_path: Path) -> Iterator[Operator]:
    with shop.operator(tmp_path / "log") as started:
        started.ready()
        yield started


def certificate(shop: CertificateSpace) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(shop.get("secret", "one-tls")["data"]["tls.crt"]))


def issued_by_house(shop: CertificateSpace) -> bool:
    authority = certmanager.authority_certificate(shop)
    if not authority or not shop.get("secret", "one-tls"):
        return False
    try:
        certificate(shop).verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (ValueError, InvalidSignature):
        return False
    return True


def test_an_agent_has_a_certificate_of_cert_managers(shop: CertificateSpace, running: Operator):
    certmanager.authority(shop)
    shop.agent(tls=HOUSE)
    shop.becomes("CertificateReady", "Issued")
    assert issued_by_house(shop)
    secret, found = shop.get("secret", "one-tls"), certificate(shop)
    held = read_secret(secret)
    assert held.leaf is not None
    assert held.leaf.subject.uri == f"spiffe://apm.valeo-neuroerp.com/ns/{shop.namespace}/agent/one"
    assert f"one.{shop.namespace}.svc" in held.leaf.subject.hosts
    assert held.authority == certmanager.authority_certificate(shop)
    uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert found.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert base64.b64decode(secret["data"]["tls.key"]).startswith(b"-----BEGIN PRIVATE KEY-----")
    assert secret["type"] == "kubernetes.io/tls"
    eventually("callers are told whom to trust", lambda: held.authority in shop.trusted())
    running.idle()
    assert running.metric("apm_agent_certificate_expiry_timestamp_seconds") == held.leaf.ends
    eventually("nothing is written any more", lambda: is_at_rest(running))


def test_a_renewal_is_taken_up(shop: CertificateSpace, running: Operator):
    certmanager.authority(shop)
    shop.agent(tls=HOUSE)
    shop.becomes("CertificateReady", "Issued")
    eventually("callers are told whom to trust", lambda: certmanager.authority_certificate(shop) in shop.trusted())
    running.idle()
    first, deployment = certificate(shop), shop.get("deployment", "one")["metadata"]["generation"]
    certmanager.renew(shop, "one-tls")
    second = eventually("another one", lambda: (found := certificate(shop)) != first and found)
    assert second.public_key() != first.public_key()
    ends = second.not_valid_after_utc.timestamp()
    eventually(
        "the operator knows",
        lambda: running.metric("apm_agent_certificate_expiry_timestamp_seconds") == ends,
    )
    told = second.not_valid_after_utc.strftime("Valid until %Y-%m-%dT%H:%M:%SZ")
    eventually("it is told", lambda: told in shop.condition("CertificateReady")["message"])
    assert shop.get("deployment", "one")["metadata"]["generation"] == deployment


def test_an_issuer_that_is_missing_or_not_ready_is_told(shop: CertificateSpace, running: Operator):
    def told(words: str) -> bool:
        message = shop.condition("CertificateReady")["message"]
        return words in message and "kubectl describe issuer house" in message

    shop.agent(tls=HOUSE)
    eventually("it is missing", lambda: told("not found"))
    assert not shop.get("deployment", "one")
    shop.apply({**certmanager.issuer("house"), "spec": {"ca": {"secretName": "house-ca"}}})
    eventually("it is not ready", lambda: told("does not have a Ready status condition"))
    certmanager.authority(shop)
    shop.becomes("CertificateReady", "Issued")
    assert issued_by_house(shop)
    running.idle()


def test_a_change_of_the_authority_is_made_without_a_gap(shop: CertificateSpace, running: Operator):
    shop.agent()
    shop.becomes("CertificateReady", "Issued")
    own = shop.get("secret", "one-tls")

    # An issuer that is not there: the agent goes on with what it has, and the condition says so.
    shop.agent(tls=HOUSE)
    eventually("it is told", lambda: "not found" in shop.condition("CertificateReady")["message"])
    assert shop.condition("CertificateReady")["status"] == "False"
    assert shop.get("secret", "one-tls")["data"] == own["data"]
    assert shop.get("deployment", "one")

    # Back, and then the issuer comes: nobody waits for it any more.
    shop.agent()
    shop.becomes("CertificateReady", "Issued")
    eventually("nothing is asked", lambda: not shop.get("certificates.cert-manager.io", "one-tls"))
    certmanager.authority(shop)
    eventually("an authority", lambda: certmanager.authority_certificate(shop))
    assert shop.get("secret", "one-tls")["data"] == own["data"]

    shop.agent(tls=HOUSE)
    eventually("cert-manager's", lambda: issued_by_house(shop))
    house = certmanager.authority_certificate(shop)
    eventually("both are trusted", lambda: house in shop.trusted() and len(authorities(shop)) == 2)
    uid = shop.get("secret", "one-tls")["metadata"]["uid"]

    shop.agent()
    eventually("its own again", lambda: not issued_by_house(shop))
    eventually("told", lambda: shop.condition("CertificateReady")["reason"] == "Issued")
    secret = shop.get("secret", "one-tls")
    # Pods have the old one for a while.
    assert house in shop.trusted()
    assert not shop.get("certificates.cert-manager.io", "one-tls")
    assert not any(
        secret["metadata"]["annotations"].get(f"cert-manager.io/{each}") for each in ("certificate-name", "issuer-name")
    )
    assert secret["metadata"]["uid"] == uid
    assert read_secret(secret).authority in shop.trusted()
    running.idle()


def test_its_agents_may_have_tokens_reviewed(shop: CertificateSpace, running: Operator, tmp_path: Path):
    certmanager.authority(shop)
    shop.agent(tls=HOUSE, auth={"serviceAccounts": {"allow": [f"{shop.namespace}/clerk"]}})
    shop.agent("two")
    shop.becomes("CertificateReady", "Issued")
    shop.becomes("CertificateReady", "Issued", "two")
    eventually("callers are told whom to trust", lambda: certmanager.authority_certificate(shop) in shop.trusted())
    shop.kubectl("create", "serviceaccount", "clerk")
    token = shop.kubectl("create", "token", "clerk", "--audience=apm").strip()
    ask = asker(shop, running, tmp_path)
    answer = eventually("an answer", lambda: ask(token), seconds=60)
    assert answer["user"] == f"system:serviceaccount:{shop.namespace}:clerk"

    # Whom the issuer gives a certificate of another agent, which it does not sign for, is not taken for that one.
    shop.apply(
        certmanager.certificate("forged", "house", uris=[shop.leaf("two-tls").subject.uri], usages=["client auth"])
    )
    data = eventually("a forged one", lambda: shop.get("secret", "forged").get("data"))
    forged = b"".join(base64.b64decode(data[name]) for name in ("tls.crt", "tls.key"))
    assert asker(shop, running, tmp_path, forged)(token)["status"] == 403


def test_the_secret_goes_with_the_agent(shop: CertificateSpace, running: Operator):
    certmanager.authority(shop)
    shop.agent(tls=HOUSE)
    shop.becomes("CertificateReady", "Issued")
    eventually("it is the agent's", lambda: shop.get("secret", "one-tls")["metadata"].get("ownerReferences"))
    shop.kubectl("delete", "agent", "one")
    eventually("it is gone", lambda: not shop.get("secret", "one-tls"))
    running.idle()


def is_at_rest(running: Operator) -> bool:
    """Whether three looks at Secrets go by without a write."""

    def looks() -> float:
        return running.metric("apm_api_calls_total", verb="get", kind="Secret")

    before, at = running.calls(), looks()
    eventually("it is looked at again", lambda: looks() >= at + 3)
    return running.calls() == before


def authorities(shop: CertificateSpace) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(shop.trusted().encode())
