import pytest

from apm_operator.pki import rotation
from apm_operator.pki.rotation import Authorities, Authority, Step

OVERLAP = 10.0
FIRST = Authority("a", made=0.0, ends=300.0)
SECOND = Authority("b", made=200.0, ends=500.0)


def advance(authorities: Authorities, now: float) -> Authorities:
    """What a tick makes of them."""
    match rotation.step(authorities, now, OVERLAP):
        case Step.ANNOUNCE:
            return rotation.announced(authorities, Authority(f"at-{now:g}", made=now, ends=now + 300))
        case Step.SWITCH:
            return rotation.switched(authorities)
        case Step.DROP:
            return rotation.dropped(authorities, now)
        case Step.REST:
            return authorities


@pytest.mark.parametrize(
    ("authorities", "now", "expected"),
    [
        (Authorities(FIRST), 199.9, Step.REST),
        (Authorities(FIRST), 200.0, Step.ANNOUNCE),
        (Authorities(FIRST, SECOND), 209.9, Step.REST),
        (Authorities(FIRST, SECOND), 210.0, Step.SWITCH),
        (Authorities(FIRST, Authority("b", 299.0, 600.0)), 300.0, Step.SWITCH),
        (Authorities(SECOND, leaving=(Authority("a", 0, 300, signed_until=250),)), 249.9, Step.REST),
        (Authorities(SECOND, leaving=(Authority("a", 0, 300, signed_until=250),)), 250.0, Step.DROP),
    ],
)
def test_what_is_due(authorities, now, expected):
    assert rotation.step(authorities, now, OVERLAP) is expected


def test_every_certificate_is_trusted_by_whoever_has_the_bundle_of_the_overlap_before():
    """A certificate's whole life long, and from the first moment on."""
    authorities, signed, bundles = Authorities(FIRST), [], {}
    for now in range(2000):
        authorities = advance(authorities, now)
        ends = min(now + 40.0, authorities.signing.ends)
        authorities = rotation.promised(authorities, now, ends)
        signed.append((now, ends, authorities.signing.id))
        bundles[now] = {each.id for each in authorities.trusted}
    for at, ends, issuer in signed:
        for now in range(at, min(int(ends), 1999)):
            assert issuer in bundles[now]
        if issuer != FIRST.id:
            assert issuer in bundles[at - int(OVERLAP) + 1]
    assert len({issuer for _, _, issuer in signed}) > 5
    assert max(map(len, bundles.values())) <= 3


def test_nothing_happens_before_the_time_that_is_told():
    authorities = rotation.promised(Authorities(FIRST), 0, 60)
    for _ in range(10):
        now = rotation.next_time(authorities, OVERLAP)
        assert rotation.step(authorities, now - 0.1, OVERLAP) is Step.REST
        assert rotation.step(authorities, now, OVERLAP) is not Step.REST
        authorities = rotation.promised(advance(authorities, now), now, now + 60)


def test_many_certificates_need_one_promise_in_a_life():
    authorities, promises = Authorities(Authority("a", 0, 100_000)), 0
    for now in range(6000):
        after = rotation.promised(authorities, now, now + 60)
        promises += after is not authorities
        authorities = after
    assert promises <= 6000 / 60


def test_an_authority_that_never_signed_goes_at_once():
    after = rotation.switched(Authorities(FIRST, SECOND))
    assert rotation.step(after, 210, OVERLAP) is Step.DROP
    assert rotation.dropped(after, 210) == Authorities(SECOND)
