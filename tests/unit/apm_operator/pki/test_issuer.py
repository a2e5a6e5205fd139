import base64
import json
from typing import Any

import pytest

from apm_operator.errors import Conflict
from apm_operator.pki import certificates, keyring
from apm_operator.pki.certificates import Subject
from apm_operator.pki.issuer import Issuer
from apm_operator.pki.keyring import KeyringBroken
from unit.apm_operator.fakes import FakeKube

AT = ("Secret", "home", "apm-operator-ca")
ONE = Subject("spiffe://apm.valeo-neuroerp.com/ns/shop/agent/one", ("one",))
START = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


def issuer(kube: Any, clock: Clock) -> Issuer:
    return Issuer(kube, "home", "apm-operator-ca", life=3000.0, overlap=100.0, clock=clock)


async def test_the_first_look_makes_an_authority_and_the_next_finds_it(kube, clock):
    first, second = issuer(kube, clock), issuer(kube, clock)
    assert await first.look() == 2000.0
    made = kube.objects[AT]
    await second.look()
    assert second.bundle == first.bundle
    assert kube.objects[AT] is made


async def test_a_restart_in_the_middle_of_a_rotation_goes_on_with_it(kube, clock):
    await issuer(kube, clock).look()
    clock.now += 2000
    assert await issuer(kube, clock).look() == 100.0
    announced = issuer(kube, clock)
    await announced.look()
    assert len(announced.ids) == 2
    clock.now += 100
    switched = issuer(kube, clock)
    before = await announced.sign(ONE, 60)
    await switched.look()
    after = await switched.sign(ONE, 60)
    assert before.authority != after.authority
    assert switched.ids == announced.ids
    clock.now += 500
    await switched.look()
    assert switched.bundle == after.authority


async def test_the_key_of_one_that_signs_no_more_is_thrown_away(kube, clock):
    made = issuer(kube, clock)
    await made.look()
    await made.sign(ONE, 600)
    (old,) = made.ids
    clock.now += 2000
    await made.look()
    clock.now += 100
    await made.look()
    names = set(kube.objects[AT]["data"])
    assert f"{old}.key" not in names
    assert f"{old}.crt" not in names or old in made.ids


async def test_a_certificate_ends_with_its_authority(kube, clock):
    signed = await issuer(kube, clock).sign(ONE, 100_000)
    assert certificates.read(signed.pair.certificate).ends == START + 3000


async def test_many_certificates_are_one_write(kube, clock):
    made = issuer(kube, clock)
    for _ in range(20):
        await made.sign(ONE, 600)
    assert kube.writes() == {("apply", "Secret"): 2}


async def test_nothing_is_signed_where_the_promise_could_not_be_kept(kube, clock):
    made = issuer(kube, clock)
    await made.look()
    kube.fail["apply", "Secret"] = [Conflict("newer", status=409)]
    with pytest.raises(Conflict):
        await made.sign(ONE, 60)
    assert made.bundle
    await made.sign(ONE, 60)


@pytest.mark.parametrize("harm", ["gone", "garbage", "another key"])
async def test_a_secret_that_was_changed_by_hand_is_told_and_left(kube, clock, harm):
    made = issuer(kube, clock)
    await made.look()
    data = kube.objects[AT]["data"]
    if harm == "gone":
        del data["authorities.json"]
    elif harm == "garbage":
        data["authorities.json"] = base64.b64encode(b"[").decode()
    else:
        name = next(name for name in data if name.endswith(".key"))
        data[name] = base64.b64encode(certificates.authority(START, 60).key).decode()
    before = json.dumps(kube.objects[AT])
    with pytest.raises(KeyringBroken, match="restore it, or delete"):
        await issuer(kube, clock).look()
    assert json.dumps(kube.objects[AT]) == before


async def test_another_authority_is_to_be_had_before_its_time(kube, clock):
    made = issuer(kube, clock)
    await made.look()
    (first,) = made.ids
    for _ in range(2):
        kube.objects[AT]["metadata"]["annotations"] = {"apm.valeo-neuroerp.com/rotate": "1"}
        assert await made.look() == 100.0
        assert len(made.ids) == 2
    clock.now += 100
    await made.look()
    kube.objects[AT]["metadata"]["annotations"] = {"apm.valeo-neuroerp.com/rotate": "1"}
    await made.look()
    assert len(made.ids) <= 2
    assert certificates.read((await made.sign(ONE, 60)).pair.certificate).issuer != first


def test_what_is_written_is_read_again():
    ring = keyring.new(START, 3000)
    ring = keyring.advance(ring, START + 2000, life=3000, overlap=100)
    assert keyring.read(keyring.manifest(ring, "home", "ca", "1")) == ring
