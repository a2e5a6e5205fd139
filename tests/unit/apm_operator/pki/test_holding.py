import pytest

from apm_operator.pki import certificates, holding
from apm_operator.pki.certificates import Subject
from apm_operator.pki.holding import Wanted

NOW = 1_800_000_000.0
ONE = Wanted(Subject("spiffe://apm.valeo-neuroerp.com/ns/shop/agent/one", ("one", "one.shop")), 600.0)
AUTHORITY = certificates.authority(NOW, 3600)
TRUSTED = {certificates.key_id(AUTHORITY.certificate)}


def secret(wanted: Wanted = ONE) -> dict:
    pair = certificates.sign(AUTHORITY, wanted.subject, NOW, wanted.life)
    content = holding.content(pair, AUTHORITY.certificate.decode())
    return content | {"metadata": {"annotations": holding.marks(wanted)}}


def test_a_secret_as_it_was_written_lacks_nothing():
    held = holding.examine(secret(), ONE, TRUSTED, NOW)
    assert held.lacking == ""
    assert held.leaf is not None
    assert held.leaf.ends == NOW + 600
    assert held.authority == AUTHORITY.certificate.decode()


@pytest.mark.parametrize(
    ("wanted", "trusted", "later", "lacking"),
    [
        (ONE, TRUSTED, 379, ""),
        (ONE, TRUSTED, 381, "it is due"),
        (ONE, TRUSTED, 600, "it has ended"),
        (ONE, {"other"}, 0, "it is of another authority, or for another agent"),
        (
            Wanted(Subject(ONE.subject.uri, ("one",)), 600.0),
            TRUSTED,
            0,
            "it is of another authority, or for another agent",
        ),
        (Wanted(ONE.subject, 60.0), TRUSTED, 0, "another life is asked for"),
    ],
)
def test_what_is_lacking(wanted, trusted, later, lacking):
    assert holding.examine(secret(), wanted, trusted, NOW + later).lacking == lacking


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
def test_what_can_not_be_read_is_made_anew(name):
    body = secret()
    body["data"][name] = secret()["data"][name] if name == "tls.key" else "AAAA"
    assert holding.examine(body, ONE, TRUSTED, NOW).lacking == "it can't be read"
    assert holding.examine({"metadata": {}}, ONE, TRUSTED, NOW).lacking == "it can't be read"
