import base64
from typing import Any

import pytest

from agent_runtime.spec.identity import OPERATOR_URI
from apm_operator.pki import certificates, foreign
from apm_operator.pki.certificates import Subject
from apm_operator.pki.foreign import Signers
from apm_operator.pki.holding import Wanted
from apm_operator.pki.issuer import Issuer
from apm_operator.pki.own import SIGNERS, OwnCertificates
from unit.apm_operator.fakes import FakeKube

NOW = 1_800_000_000.0
YEAR = 365 * 86_400.0
NAME = "apm-operator-tls"
WANTED = Wanted(Subject(OPERATOR_URI, ("apm-operator.home.svc",)), YEAR / 4)
HOUSE = certificates.authority(NOW, YEAR).certificate


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


def clock() -> float:
    return NOW


def own(kube: Any, signers: Signers) -> OwnCertificates:
    issuer = Issuer(kube, "home", "apm-operator-ca", life=YEAR, overlap=YEAR / 60, clock=clock)
    names = {"namespace": "home", "name": "apm-operator", "hosts": WANTED.subject.hosts}
    return OwnCertificates(kube, issuer, **names, signers=signers, clock=clock)


def held(kube: FakeKube) -> dict[str, bytes]:
    return {name: base64.b64decode(part) for name, part in kube.objects["Secret", "home", NAME]["data"].items()}


async def test_who_signs_for_agents_is_told_without_a_new_certificate(kube):
    signers = Signers(clock)
    kept = own(kube, signers)
    await kept.keep(NAME, WANTED)
    first = held(kube)
    signers.note("shop/one", (HOUSE,))
    await kept.keep(NAME, WANTED)
    second = held(kube)
    assert foreign.read(second.pop(SIGNERS).decode()) == {"shop/one": (HOUSE,)}
    assert second.items() <= first.items()
    kube.calls.clear()
    await kept.keep(NAME, WANTED)
    assert kube.writes() == {}


async def test_a_new_process_goes_on_with_what_was_told(kube):
    signers = Signers(clock)
    signers.note("shop/one", (HOUSE,))
    await own(kube, signers).keep(NAME, WANTED)
    before, successor = held(kube), Signers(clock)
    again = own(kube, successor)
    await again._issuer.look()
    await again.keep(NAME, WANTED)
    assert held(kube) == before
    assert successor.of("shop/one") == (HOUSE,)
    await again.keep("apm-scraper-tls", WANTED)
    assert SIGNERS not in kube.objects["Secret", "home", "apm-scraper-tls"]["data"]
