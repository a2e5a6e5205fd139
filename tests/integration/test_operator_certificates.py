"""The operator's certificates on a real API server: issued, renewed, rotated, refused, and left as they are."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apm_operator.pki import certificates
from cluster.controlplane import ControlPlane
from integration.certificate_space import CertificateSpace, asker
from integration.operators import Operator, eventually

CERTIFICATES = Path(__file__).parent / "manifests" / "cert-manager" / "certificates.yaml"


@pytest.fixture
def shop(control_plane: ControlPlane, namespace: str) -> CertificateSpace:
    return CertificateSpace(control_plane, namespace)


@pytest.fixture
def running(shop: CertificateSpace, tmp_path: Path) -> Iterator[Operator]:
    with shop.operator(tmp_path / "log") as started:
        started.ready()
        yield started


def test_an_agent_gets_a_certificate_and_whom_it_trusts(shop: CertificateSpace, running: Operator):
    shop.agent()
    told = shop.becomes("CertificateReady", "Issued")
    assert "Valid until" in told["message"]
    secret = shop.get("secret", "one-tls")
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["metadata"]["ownerReferences"][0]["name"] == "one"
    leaf = shop.leaf()
    assert leaf.subject.uri == f"spiffe://apm.valeo-neuroerp.com/ns/{shop.namespace}/agent/one"
    eventually("the trust", shop.trusted)
    assert base64.b64decode(secret["data"]["ca.crt"]).decode() in shop.trusted()
    assert shop.get("service", "one")["spec"]["ports"][0]["port"] == 8443
    running.idle()
    assert running.metric("apm_agent_certificate_expiry_timestamp_seconds") == leaf.ends
    assert "PRIVATE KEY" not in running.log.read_text()
    shown = shop.kubectl("get", "agent,configmap,deployment,events", "--output=yaml")
    assert "PRIVATE KEY" not in shown


def test_a_restart_writes_nothing(shop: CertificateSpace, tmp_path: Path):
    with shop.operator(tmp_path / "one") as first:
        shop.agent()
        shop.agent("two", tls={"mode": "Disabled"})
        shop.becomes("CertificateReady", "Issued")
        shop.becomes("Ready", "Progressing", "two")
        # Its own certificates are made beside its work for agents: the authority, its promise, two of its own, one-tls.
        eventually("all are signed", lambda: first.calls().get(("apply", "Secret"), 0) >= 5)
        first.idle()
    with shop.operator(tmp_path / "two") as second:
        second.idle()
        eventually("both were looked at", lambda: second.metric("apm_reconciles_total") >= 2)
        eventually("its own are kept", lambda: second.metric("apm_api_calls_total", verb="get", kind="Secret") >= 4)
        assert second.calls() == {}


def test_a_certificate_is_renewed_by_a_timer_and_pods_are_left_alone(shop: CertificateSpace, running: Operator):
    shop.agent(tls={"mode": "Enabled", "duration": "1m"})
    shop.becomes("CertificateReady", "Issued")
    first = shop.leaf()
    generation = shop.get("deployment", "one")["metadata"]["generation"]
    eventually("it is renewed", lambda: shop.leaf().ends > first.ends, seconds=60)
    second = shop.leaf()
    # Two thirds of a life that began a tenth of it early.
    assert 30 < second.ends - first.ends < 55
    assert shop.get("deployment", "one")["metadata"]["generation"] == generation
    running.idle()


def test_authorities_follow_each_other_without_a_gap(shop: CertificateSpace, tmp_path: Path):
    """The next authority reaches every bundle before it signs, and the one before stays until its last leaf ended."""
    seen: list[tuple[frozenset[str], str]] = []

    def look() -> bool:
        bundle = shop.trusted()
        parts = [part + "-----END CERTIFICATE-----\n" for part in bundle.split("-----END CERTIFICATE-----\n") if part]
        seen.append((frozenset(certificates.key_id(part.encode()) for part in parts), shop.leaf().issuer))
        return len({issuer for _, issuer in seen}) >= 3

    settings = {"APM_AUTHORITY_SECONDS": "60", "APM_AUTHORITY_OVERLAP_SECONDS": "10"}
    with shop.operator(tmp_path / "log", **settings):
        shop.agent(tls={"mode": "Enabled", "duration": "1m"})
        shop.becomes("CertificateReady", "Issued")
        eventually("three authorities have signed", look, seconds=180)
    for number, (trusted, issuer) in enumerate(seen):
        assert issuer in trusted
        if issuer != seen[0][1]:
            before = next(trusted for trusted, signer in reversed(seen[:number]) if signer != issuer)
            assert issuer in before
    assert any(len(trusted) > 1 for trusted, _ in seen)


def test_somebody_elses_secret_is_not_taken(shop: CertificateSpace, running: Operator):
    shop.kubectl("create", "secret", "generic", "one-tls", "--from-literal=mine=1")
    shop.agent()
    assert "one-tls" in shop.becomes("Ready", "NameTaken")["message"]
    assert set(shop.get("secret", "one-tls")["data"]) == {"mine"}
    shop.kubectl("delete", "secret", "one-tls")
    shop.becomes("CertificateReady", "Issued")
    running.idle()


def test_from_plain_to_encrypted_and_back(shop: CertificateSpace, running: Operator):
    shop.agent(tls={"mode": "Disabled"})
    shop.becomes("Ready", "Progressing")
    assert not shop.get("secret", "one-tls")
    shop.agent()
    shop.becomes("CertificateReady", "Issued")
    eventually("another port", lambda: shop.get("service", "one")["spec"]["ports"][0]["port"] == 8443)
    assert shop.get("agent", "one")["status"]["url"].startswith("https://")
    shop.agent(tls={"mode": "Disabled"})
    eventually("the port of before", lambda: shop.get("service", "one")["spec"]["ports"][0]["port"] == 8080)
    running.idle()


def test_peers_are_called_as_they_speak(shop: CertificateSpace, running: Operator):
    node = {"name": "ask", "uses": "agent", "with": {"ref": "peer"}}

    def url() -> str:
        mounted = shop.get("deployment", "one").get("spec", {}).get("template", {}).get("spec", {}).get("volumes", [])
        name = next((each["configMap"]["name"] for each in mounted if each["name"] == "config"), "")
        found = shop.get("configmap", name) if name else {}
        return str(json.loads(found["data"]["agent.json"])["peers"]["peer"]) if found else ""

    def callers() -> list[str]:
        return list(
            json.loads(shop.get("configmap", "peer-trust").get("data", {}).get("callers.json", "{}")).get("agents", [])
        )

    shop.agent("peer", tls={"mode": "Disabled"})
    shop.agent(workflow={"start": "ask", "nodes": [node]})
    eventually("plain", lambda: url() == f"http://peer.{shop.namespace}.svc:8080")
    shop.agent("peer")
    eventually("encrypted", lambda: url() == f"https://peer.{shop.namespace}.svc:8443")
    eventually("a caller", lambda: callers() == [f"{shop.namespace}/one"])
    shop.agent()
    eventually("no caller", lambda: callers() == [])
    running.idle()


def test_cert_manager_is_asked_and_its_secret_used(shop: CertificateSpace, running: Operator):
    spec = {"mode": "Enabled", "duration": "24h", "issuerRef": {"name": "house", "kind": "ClusterIssuer"}}
    shop.agent(tls=spec)
    assert "install cert-manager" in shop.becomes("Ready", "CertificateNotIssued")["message"]

    shop.kubectl("apply", "--server-side", f"--filename={CERTIFICATES}")
    try:
        shop.kubectl("wait", "--for=condition=Established", "crd/certificates.cert-manager.io", "--timeout=30s")
        asked = eventually("a Certificate", lambda: shop.get("certificates.cert-manager.io", "one-tls"))
        assert asked["metadata"]["ownerReferences"][0]["name"] == "one"
        assert asked["spec"]["secretName"] == "one-tls"
        assert asked["spec"]["uris"] == [f"spiffe://apm.valeo-neuroerp.com/ns/{shop.namespace}/agent/one"]
        assert (asked["spec"]["duration"], asked["spec"]["renewBefore"]) == ("24h0m0s", "8h0m0s")
        assert asked["spec"]["issuerRef"] == {"name": "house", "kind": "ClusterIssuer", "group": "cert-manager.io"}
        assert not shop.get("deployment", "one")
        issue(shop, asked)
        shop.becomes("CertificateReady", "Issued")
        assert shop.get("deployment", "one")

        # Back to the operator's own authority: nobody is asked any more, and the Secret is replaced.
        foreign = shop.leaf().issuer
        shop.agent()
        eventually("its own", lambda: shop.leaf().issuer != foreign)
        assert not shop.get("certificates.cert-manager.io", "one-tls")
        running.idle()
    finally:
        shop.kubectl("delete", f"--filename={CERTIFICATES}")


def issue(shop: CertificateSpace, asked: dict[str, Any]) -> None:
    """What cert-manager does: sign, and write the Secret with its own annotations."""
    now = time.time()
    authority = certificates.authority(now, 90_000)
    subject = certificates.Subject(asked["spec"]["uris"][0], tuple(asked["spec"]["dnsNames"]))
    pair = certificates.sign(authority, subject, now, 86_400)
    parts = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.certificate}
    shop.kubectl(
        "apply",
        "--server-side",
        "--field-manager=cert-manager",
        "--filename=-",
        stdin=json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": "one-tls",
                    "annotations": {"cert-manager.io/certificate-name": "one-tls"},
                },
                "type": "kubernetes.io/tls",
                "data": {name: base64.b64encode(part).decode() for name, part in parts.items()},
            }
        ),
    )


def test_an_agent_may_have_a_token_reviewed(shop: CertificateSpace, running: Operator, tmp_path: Path):
    shop.agent(auth={"serviceAccounts": {"allow": [f"{shop.namespace}/clerk"]}})
    shop.becomes("CertificateReady", "Issued")
    shop.kubectl("create", "serviceaccount", "clerk")
    token = shop.kubectl("create", "token", "clerk", "--audience=apm").strip()
    other = shop.kubectl("create", "token", "clerk", "--audience=another").strip()
    ask = asker(shop, running, tmp_path)
    answer = eventually("an answer", lambda: ask(token))
    assert answer["authenticated"]
    assert answer["user"] == f"system:serviceaccount:{shop.namespace}:clerk"
    assert answer["expires"] > 1_700_000_000
    assert ask(other) == {"authenticated": False}
    assert ask("x" + secrets.token_hex(8)) == {"authenticated": False}
    assert token not in running.log.read_text()
