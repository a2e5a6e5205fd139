import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from apm_operator.api.tls import IssuerRef, Tls
from apm_operator.errors import Forbidden, NotFound
from apm_operator.manifests import certificate
from apm_operator.pki import certificates, holding
from apm_operator.queue import Key
from apm_operator.reconcile.apply import NameTaken
from apm_operator.reconcile.certmanager import CertManager
from unit.apm_operator.fakes import FakeKube

KEY = Key("shop", "one")
NOW = 1_800_000_000.0
HOUSE = IssuerRef(name="house")
WANTED = certificate.wanted(KEY, Tls(issuer_ref=HOUSE, duration="3h"))
AT = ("Certificate", "shop", "one-tls")


class Kube(FakeKube):
    """Dates what is made, as the API server does."""

    kind_is_known = True

    async def apply(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        if not self.kind_is_known:
            raise NotFound("the server could not find the requested resource", status=404)
        answer = await super().apply(*arguments, **options)
        made = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.objects[AT]["metadata"]["creationTimestamp"] = answer["metadata"]["creationTimestamp"] = made
        return answer

    async def served(self, _: Any) -> bool:
        return self.kind_is_known


@pytest.fixture
def kube() -> Kube:
    return Kube()


def secret(ends: float = 3 * 3600.0) -> dict[str, Any]:
    """What cert-manager writes."""
    authority = certificates.authority(NOW, 90_000)
    pair = certificates.sign(authority, WANTED.subject, NOW, ends)
    marks = {"cert-manager.io/certificate-name": "one-tls"}
    content = holding.content(pair, authority.certificate.decode())
    return {"metadata": {"name": "one-tls", "uid": "s", "annotations": marks}, **content}


def at(kube: Any, seconds: float) -> CertManager:
    return CertManager(kube, lambda: NOW + seconds)


async def test_it_is_asked_once(kube):
    for _ in range(2):
        found = await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    assert kube.writes() == {("apply", "Certificate"): 1}
    assert found.aspect.reason == "NotIssued"
    assert found.problem is not None
    assert found.problem.ready == "Unknown"
    spec = kube.objects[AT]["spec"]
    assert (spec["duration"], spec["renewBefore"], spec["issuerRef"]["kind"]) == ("3h0m0s", "1h0m0s", "Issuer")


async def test_what_was_changed_by_hand_is_put_right(kube):
    await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    kube.objects[AT]["spec"]["dnsNames"] = ["elsewhere"]
    await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    assert kube.objects[AT]["spec"]["dnsNames"] == list(certificate.service_hosts(KEY.name, KEY.namespace))


async def test_what_it_says_is_told_when_it_takes_long(kube):
    await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    kube.objects[AT]["status"] = {"conditions": [{"type": "Ready", "status": "False", "message": "no issuer house"}]}
    found = await at(kube, 61).look(KEY, "uid-one", WANTED, HOUSE, None)
    assert found.problem is not None
    assert found.problem.reason == "CertificateNotIssued"
    assert "no issuer house" in found.problem.message


@pytest.mark.parametrize(
    ("after", "reason"), [(0, "Issued"), (2 * 3600, "Issued"), (2 * 3600 + 300, "Expiring"), (10_801, "NotIssued")]
)
async def test_its_certificate_is_followed(kube, after, reason):
    found = await at(kube, after).look(KEY, "uid-one", WANTED, HOUSE, secret())
    assert found.aspect.reason == reason
    assert (found.leaf is None) == (reason == "NotIssued")


async def test_one_that_is_due_is_not_looked_at_without_end(kube):
    found = await at(kube, 2 * 3600 + 1).look(KEY, "uid-one", WANTED, HOUSE, secret())
    assert found.aspect.reason == "Issued"
    assert found.again == 5.0


@pytest.mark.parametrize(
    "said", [{"issuer-group": "apm.valeo-neuroerp.com"}, {"certificate-name": "one-tls", "issuer-name": "other"}]
)
async def test_one_of_another_issuer_is_used_and_told_of(kube, said):
    before = secret()
    before["metadata"] |= {
        "annotations": {f"cert-manager.io/{name}": value for name, value in said.items()},
        "ownerReferences": [{"kind": "AgentDeployment", "name": "one", "uid": "uid-one"}],
    }
    found = await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, before)
    assert (found.aspect.truth, found.aspect.reason, found.problem) == ("False", "NotIssued", None)
    assert found.leaf is not None
    assert found.again == 5.0


async def test_why_a_request_waits_is_told(kube):
    await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    kube.objects[AT]["status"] = {"revision": 3, "conditions": [{"type": "Ready", "status": "False", "message": "no"}]}
    waiting = {"type": "Ready", "status": "False", "message": "Referenced issuer does not have a Ready condition"}
    request = {"kind": "CertificateRequest", "metadata": {}, "status": {"conditions": [waiting]}}
    kube.objects["CertificateRequest", "shop", "one-tls-4"] = request
    found = await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    assert waiting["message"] in found.aspect.message
    assert "kubectl describe issuer house" in found.aspect.message
    failed = {"type": "Issuing", "status": "False", "message": "The certificate request has been denied"}
    kube.objects[AT]["status"]["conditions"].append(failed)
    found = await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    assert failed["message"] in found.aspect.message


async def test_its_secret_becomes_the_agents(kube):
    await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, secret())
    added = kube.objects["Secret", "shop", "one-tls"]
    assert "data" not in added
    assert added["metadata"]["ownerReferences"][0]["uid"] == "uid-one"
    kube.calls.clear()
    await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, secret() | {"metadata": added["metadata"]})
    assert kube.writes() == {}


async def test_a_certificate_for_another_agent_is_none(kube):
    other = certificate.wanted(Key("shop", "two"), Tls(issuer_ref=HOUSE, duration="3h"))
    found = await at(kube, 0).look(KEY, "uid-one", other, HOUSE, secret())
    assert found.leaf is None


async def test_a_cluster_without_it_is_told(kube):
    kube.kind_is_known = False
    found = await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    assert found.problem is not None
    assert "install cert-manager" in found.problem.message


async def test_an_operator_without_the_right_is_told(kube):
    kube.fail["get", "Certificate"] = [Forbidden("no", status=403)]
    found = await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    assert found.problem is not None
    assert "certificates.certManager" in found.problem.message


async def test_somebody_elses_secret_or_certificate_is_left(kube):
    foreign = {"metadata": {"name": "one-tls"}}
    with pytest.raises(NameTaken):
        await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, foreign)
    kube.objects[AT] = {"kind": "Certificate", "metadata": {"name": "one-tls", "uid": "x", "resourceVersion": "1"}}
    with pytest.raises(NameTaken):
        await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)


async def test_it_is_not_asked_any_more(kube):
    await at(kube, 0).look(KEY, "uid-one", WANTED, HOUSE, None)
    await at(kube, 0).withdraw(KEY, "uid-one")
    assert AT not in kube.objects
    await at(kube, 0).withdraw(KEY, "uid-one")


def test_the_secret_holds_what_was_signed():
    held = holding.read(secret())
    assert base64.b64decode(secret()["data"]["tls.crt"])
    assert held.leaf is not None
    assert held.leaf.subject == WANTED.subject
