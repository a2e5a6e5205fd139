from dataclasses import dataclass
from typing import Any

import pytest

from apm_operator import leader as module
from apm_operator.errors import ApiError, LeadershipLost, Rewound
from apm_operator.leader import Leader
from unit.apm_operator.fakes import FakeKube

AT = ("Lease", "system", "apm-operator")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def candidate(kube: Any, clock: Clock, name: str) -> Leader:
    return Leader(kube, "system", "apm-operator", name, clock)


async def test_the_first_one_makes_the_lease_and_leads(kube: FakeKube, clock: Clock):
    one = candidate(kube, clock, "one")
    with pytest.raises(LeadershipLost):
        one.remaining()
    await one.acquire()
    one.remaining()
    assert kube.objects[AT]["spec"]["holderIdentity"] == "one"


async def test_a_second_one_waits_until_the_lease_was_not_renewed_for_its_length(kube: FakeKube, clock: Clock):
    await candidate(kube, clock, "one").acquire()
    two = candidate(kube, clock, "two")
    assert not await two._try()
    clock.now = module.LEASE_SECONDS
    assert not await two._try()
    clock.now = module.LEASE_SECONDS + 0.1
    assert await two._try()
    assert kube.objects[AT]["spec"]["leaseTransitions"] == 2


async def test_a_renewal_starts_the_wait_anew(kube: FakeKube, clock: Clock):
    one, two = candidate(kube, clock, "one"), candidate(kube, clock, "two")
    await one.acquire()
    assert not await two._try()
    clock.now = 8
    assert await one._try()
    assert not await two._try()
    clock.now = module.LEASE_SECONDS + 1
    assert not await two._try()


async def test_the_holder_stops_writing_before_anybody_else_may_start(kube: FakeKube, clock: Clock):
    one = candidate(kube, clock, "one")
    await one.acquire()
    clock.now = module._DEADLINE_SECONDS - 0.5
    assert one.remaining() == 0.5, "no write may go on for longer than the lease"
    clock.now = module._DEADLINE_SECONDS
    with pytest.raises(LeadershipLost):
        one.remaining()
    assert module._DEADLINE_SECONDS < module.LEASE_SECONDS


async def test_a_lease_that_was_given_up_is_free_at_once(kube: FakeKube, clock: Clock):
    one, two = candidate(kube, clock, "one"), candidate(kube, clock, "two")
    await one.acquire()
    await one.release()
    with pytest.raises(LeadershipLost):
        one.remaining()
    assert await two._try()


async def test_giving_up_leaves_the_lease_of_another_alone(kube: FakeKube, clock: Clock):
    one, two = candidate(kube, clock, "one"), candidate(kube, clock, "two")
    await one.acquire()
    await two._try()
    clock.now = 100
    assert await two._try()
    await one.release()
    assert kube.objects[AT]["spec"]["holderIdentity"] == "two"


async def test_of_two_that_try_at_once_one_wins(kube: FakeKube, clock: Clock):
    one, two = candidate(kube, clock, "one"), candidate(kube, clock, "two")
    await one.acquire()
    await two._try()
    clock.now = 100
    stale = await kube.get(module.LEASES, "system", "apm-operator")
    assert await two._try()

    async def read_before(*_: object) -> dict[str, Any]:
        return stale

    kube.get = read_before  # type: ignore[method-assign]
    assert not await one._try()


async def test_a_holder_that_was_replaced_ends(kube: FakeKube, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_RENEW_SECONDS", 0.001)
    one, two = candidate(kube, clock, "one"), candidate(kube, clock, "two")
    await one.acquire()
    await two._try()
    clock.now = 100
    await two._try()
    with pytest.raises(LeadershipLost, match="two has taken"):
        await one.keep()


async def test_a_holder_that_can_not_renew_ends(kube: FakeKube, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_RENEW_SECONDS", 0.001)
    one = candidate(kube, clock, "one")
    await one.acquire()
    kube.fail["update", "Lease"] = [ApiError("broken", status=500)] * 1000
    clock.now = module._DEADLINE_SECONDS + 1
    with pytest.raises(LeadershipLost):
        await one.keep()


async def test_two_installations_do_not_wait_for_each_other(kube: Any, clock: Clock):
    await candidate(kube, clock, "one").acquire()
    other = Leader(kube, "system", "other-release", "two", clock)
    assert await other._try()
    other.remaining()


async def test_a_lease_that_is_older_than_it_was_left_tells_of_a_restored_backup(
    kube: FakeKube, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_RENEW_SECONDS", 0.001)
    one = candidate(kube, clock, "one")
    await one.acquire()
    assert await one._try()
    backup = await kube.get(module.LEASES, "system", "apm-operator")
    assert await one._try()
    kube.objects[AT] = backup
    with pytest.raises(Rewound, match="restored from a backup"):
        await one.keep()
