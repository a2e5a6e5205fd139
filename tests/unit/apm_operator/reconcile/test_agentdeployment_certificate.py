"""A pass and the agent's certificate."""

import base64
import json
from typing import Any

import pytest

from apm_operator import metrics
from apm_operator.errors import ApiError, Forbidden
from apm_operator.pki import certificates
from unit.apm_operator.world import KEY, YEAR, World

HOUR = 3600.0
TLS = {"mode": "Enabled", "duration": "3h"}
SECRET = ("Secret", "shop", "one-tls")
TRUST = ("ConfigMap", "shop", "one-trust")


@pytest.fixture
async def world() -> World:
    made = World()
    await made.issuer.look()
    return made


def leaf(world: World) -> certificates.Leaf:
    return certificates.read(base64.b64decode(world.kube.objects[SECRET]["data"]["tls.crt"]))


def certificate(world: World) -> tuple[str, str, str]:
    found = next(each for each in world.status["conditions"] if each["type"] == "CertificateReady")
    return found["status"], found["reason"], found["message"]


async def test_a_new_agent_has_its_certificate_before_its_pods_and_by_one_call(world):
    world.write(tls=TLS)
    made: list[str] = []
    apply = world.kube.apply

    async def noted(resource: Any, *rest: Any, **options: Any) -> Any:
        made.append(resource.kind)
        return await apply(resource, *rest, **options)

    world.kube.apply = noted  # type: ignore[method-assign]
    await world.reconcile()
    assert made.index("Secret") < made.index("ConfigMap") < made.index("Deployment")
    assert world.kube.calls["get", "Secret"] == 1  # the authority's
    subject = leaf(world).subject
    assert subject.uri == "spiffe://apm.valeo-neuroerp.com/ns/shop/agent/one"
    names = ("one", "one.shop", "one.shop.svc", "one.shop.svc.cluster.local")
    assert subject.hosts == (*names, "metrics.apm.valeo-neuroerp.com")
    body = world.kube.objects[SECRET]
    assert body["type"] == "kubernetes.io/tls"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "uid-one"
    assert base64.b64decode(body["data"]["ca.crt"]).decode() == world.issuer.bundle
    assert world.kube.objects[TRUST]["data"] == {"ca.crt": world.issuer.bundle, "callers.json": '{"agents": []}'}
    assert certificate(world)[:2] == ("True", "Issued")
    assert world.status["url"] == "https://one.shop.svc:8443"


async def test_a_restart_reads_the_certificate_once_and_writes_nothing(world):
    world.write(tls=TLS)
    await world.reconcile()
    world.restart()
    await world.issuer.look()
    world.kube.calls.clear()
    await world.reconcile()
    await world.reconcile()
    assert world.kube.writes() == {}
    assert world.kube.calls["get", "Secret"] == 1


async def test_it_is_renewed_at_two_thirds_of_its_life_and_no_pod_is_touched(world):
    world.write(tls=TLS)
    outcome = await world.reconcile()
    before, deployment = leaf(world), json.dumps(world.kube.objects["Deployment", "shop", "one"])
    assert outcome.again == pytest.approx(2 * HOUR, rel=0.02)
    world.now += outcome.again - 1
    await world.reconcile()
    assert leaf(world) == before
    world.now += 2
    await world.reconcile()
    assert leaf(world).ends == int(world.now + 3 * HOUR)
    assert json.dumps(world.kube.objects["Deployment", "shop", "one"]) == deployment
    name = "apm_agent_certificate_expiry_timestamp_seconds"
    labels = {"namespace": "shop", "agent": "one"}
    assert metrics.REGISTRY.get_sample_value(name, labels) == leaf(world).ends


async def test_another_life_is_another_certificate(world):
    world.write(tls=TLS)
    await world.reconcile()
    world.write(tls=TLS | {"duration": "90m"})
    await world.reconcile()
    assert leaf(world).ends == world.now + 1.5 * HOUR


async def test_a_renewal_that_fails_is_told_and_the_agent_goes_on(world):
    world.write(tls=TLS)
    await world.reconcile()
    world.rolled_out()
    world.now += 2.5 * HOUR
    world.kube.fail["apply", "Secret"] = [ApiError("down", status=500)] * 2
    outcome = await world.reconcile()
    assert not outcome.failed
    assert outcome.again == 5.0
    assert certificate(world)[:2] == ("False", "Expiring")
    assert world.ready == ("True", "Ready")
    world.now += 5
    await world.reconcile()
    world.now += 5
    await world.reconcile()
    assert certificate(world)[:2] == ("True", "Issued")


async def test_without_the_right_the_command_that_gives_it_is_told(world):
    world.write(tls=TLS)
    world.kube.fail["apply", "Secret"] = []
    await world.issuer.sign(leafless(), 3 * HOUR)  # so that the authority itself is not written below
    world.kube.fail["apply", "Secret"] = [Forbidden("no", status=403)]
    outcome = await world.reconcile()
    assert outcome.again == 15.0
    assert world.ready == ("False", "SecretsNotPermitted")
    ready = next(each for each in world.status["conditions"] if each["type"] == "Ready")
    assert "kubectl -n shop grant" in ready["message"]
    assert ("Deployment", "shop", "one") not in world.kube.objects
    world.now += 15
    await world.reconcile()
    assert ("Deployment", "shop", "one") in world.kube.objects
    assert certificate(world)[:2] == ("True", "Issued")


def leafless() -> certificates.Subject:
    return certificates.Subject("spiffe://apm.valeo-neuroerp.com/ns/shop/agent/other")


async def test_somebody_elses_secret_is_left_alone(world):
    world.write(tls=TLS)
    world.kube.objects[SECRET] = {
        "kind": "Secret",
        "metadata": {"name": "one-tls", "namespace": "shop", "uid": "x", "resourceVersion": "1"},
        "data": {},
    }
    await world.reconcile()
    assert world.ready == ("False", "NameTaken")
    assert world.kube.objects[SECRET]["data"] == {}


async def test_a_secret_that_is_gone_or_broken_is_made_anew(world):
    world.write(tls=TLS)
    await world.reconcile()
    del world.kube.objects[SECRET]
    world.now += 301
    await world.reconcile()
    assert leaf(world).ends == int(world.now + 3 * HOUR)
    world.kube.objects[SECRET]["data"]["tls.key"] = ""
    world.now += 301
    await world.reconcile()
    assert leaf(world).ends == int(world.now + 3 * HOUR)


async def test_a_new_authority_is_trusted_before_it_signs(world):
    world.write(tls=TLS)
    await world.reconcile()
    first = leaf(world).issuer
    world.now += world.issuer._ring.authorities.signing.due - world.now
    await world.issuer.look()
    await world.reconcile()
    assert world.kube.objects[TRUST]["data"]["ca.crt"].count("BEGIN CERTIFICATE") == 2
    assert leaf(world).issuer == first
    world.now += world.issuer._overlap
    await world.issuer.look()
    await world.reconcile()
    assert leaf(world).issuer != first


async def test_a_suspended_agent_keeps_its_certificate_and_whom_it_trusts(world):
    world.write(tls=TLS)
    await world.reconcile()
    world.write(tls=TLS, suspend=True)
    world.now += 2.5 * HOUR
    await world.reconcile()
    assert leaf(world).ends == int(world.now + 3 * HOUR)
    assert world.ready[1] == "Suspended"
    world.now = world.issuer._ring.authorities.signing.due
    await world.issuer.look()
    await world.reconcile()
    assert world.kube.objects[TRUST]["data"]["ca.crt"] == world.issuer.bundle


async def test_a_broken_workflow_does_not_end_the_certificate(world):
    world.write(tls=TLS)
    await world.reconcile()
    world.write(tls=TLS, workflow={"start": "nowhere", "nodes": [{"name": "answer", "uses": "model"}]})
    world.now += 2.5 * HOUR
    await world.reconcile()
    assert world.ready[1] == "WorkflowInvalid"
    assert leaf(world).ends == int(world.now + 3 * HOUR)


async def test_plain_http_has_no_certificate_and_none_is_left_of_before(world):
    world.write(tls=TLS)
    await world.reconcile()
    world.write(tls={"mode": "Disabled"}, auth={"anonymous": True})
    await world.reconcile()
    assert SECRET not in world.kube.objects
    world.rolled_out()
    await world.reconcile()
    assert TRUST not in world.kube.objects
    world.restart()
    await world.reconcile()
    assert not [each for each in world.status["conditions"] if each["type"] == "CertificateReady"]
    world.kube.calls.clear()
    await world.reconcile()
    assert world.kube.calls == {}


async def test_callers_are_told_to_the_pods(world):
    world.write(tls=TLS, network={"ingressFrom": [{"agent": "desk", "namespace": "front"}]})
    await world.reconcile()
    assert json.loads(world.kube.objects[TRUST]["data"]["callers.json"]) == {"agents": ["front/desk"]}
    assert KEY[:2] == ("shop", "one")


HOUSE = {"mode": "Enabled", "duration": "3h", "issuerRef": {"name": "house"}}
ASKED = ("Certificate", "shop", "one-tls")


@pytest.fixture
def beside(world: World) -> World:
    """With cert-manager in the cluster, which dates what it is asked for."""
    world.kube.cert_manager = True
    apply = world.kube.apply

    async def dated(resource: Any, *rest: Any, **options: Any) -> Any:
        answer = await apply(resource, *rest, **options)
        answer["metadata"]["creationTimestamp"] = "2027-01-15T08:00:00Z"
        if resource.kind == "Certificate":
            world.kube.objects[ASKED]["metadata"]["creationTimestamp"] = "2027-01-15T08:00:00Z"
        return answer

    world.kube.apply = dated  # type: ignore[method-assign]
    return world


def issued_by(world: World, authority: certificates.Pair) -> None:
    """What cert-manager writes."""
    pair = certificates.sign(authority, leaf(world).subject, world.now, 3 * HOUR)
    secret = world.kube.objects[SECRET]
    secret["metadata"]["annotations"] = {
        "cert-manager.io/certificate-name": "one-tls",
        "cert-manager.io/issuer-name": "house",
    }
    parts = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.certificate}
    secret["data"] = {name: base64.b64encode(part).decode() for name, part in parts.items()}


async def test_cert_manager_is_not_asked_any_more_where_it_never_answered(beside):
    beside.write(tls=TLS)
    await beside.reconcile()
    own = leaf(beside)
    beside.write(tls=HOUSE)
    await beside.reconcile()
    assert ASKED in beside.kube.objects
    assert certificate(beside)[:2] == ("False", "NotIssued")
    beside.write(tls=TLS)
    await beside.reconcile()
    assert ASKED not in beside.kube.objects
    assert leaf(beside) == own

    beside.write(tls=HOUSE)
    await beside.reconcile()
    beside.restart()
    await beside.issuer.look()
    beside.write(tls={"mode": "Disabled"}, auth={"anonymous": True})
    await beside.reconcile()
    assert ASKED not in beside.kube.objects


async def test_an_issuers_authority_is_trusted_until_nobody_has_its_certificates(beside):
    beside.write(tls=TLS)
    await beside.reconcile()
    house = certificates.authority(beside.now, YEAR)
    beside.write(tls=HOUSE)
    await beside.reconcile()
    issued_by(beside, house)
    beside.now += 60
    assert (await beside.reconcile()).again == 0.0
    assert beside.kube.objects[TRUST]["data"]["ca.crt"] == beside.issuer.bundle
    await beside.reconcile()
    assert beside.kube.objects[TRUST]["data"]["ca.crt"] == beside.issuer.bundle + house.certificate.decode()

    beside.write(tls=TLS)
    await beside.reconcile()
    assert leaf(beside).issuer in beside.issuer.ids
    said = beside.kube.objects[SECRET]["metadata"]["annotations"]
    assert (said["cert-manager.io/certificate-name"], said["cert-manager.io/issuer-name"]) == ("", "")
    assert house.certificate.decode() in beside.kube.objects[TRUST]["data"]["ca.crt"]
    beside.now += 601
    await beside.reconcile()
    assert beside.kube.objects[TRUST]["data"]["ca.crt"] == beside.issuer.bundle
