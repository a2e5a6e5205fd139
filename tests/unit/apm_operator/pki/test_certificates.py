import ssl

import pytest

from apm_operator.pki import certificates
from apm_operator.pki.certificates import Pair, Subject

NOW = 1_800_000_000.0
ONE = Subject("spiffe://apm.valeo-neuroerp.com/ns/shop/agent/one", ("one", "one.shop.svc"))


@pytest.fixture(scope="module")
def authority() -> Pair:
    return certificates.authority(NOW, 3600)


def test_a_certificate_says_what_was_asked_for(authority):
    made = certificates.sign(authority, ONE, NOW, 600)
    leaf = certificates.read(made.certificate)
    assert leaf.subject == ONE
    assert leaf.issuer == certificates.key_id(authority.certificate)
    assert (leaf.made, leaf.ends) == (NOW - 60, NOW + 600)
    assert certificates.belong_together(made)


def test_keys_are_new_each_time(authority):
    one, other = (certificates.sign(authority, ONE, NOW, 600) for _ in range(2))
    assert one.key != other.key
    assert not certificates.belong_together(Pair(one.certificate, other.key))


@pytest.mark.parametrize("text", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        certificates.read(text)


def test_a_bundle_does_not_depend_on_the_order():
    one, other = (certificates.authority(NOW, 60).certificate for _ in range(2))
    assert certificates.bundle([one, other, one]) == certificates.bundle([other, one])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificates.bundle([one, other]))
    assert context.cert_store_stats()["x509_ca"] == 2


def test_a_key_is_in_no_text_of_the_pair(authority):
    assert "KEY" not in repr(authority)
    assert "KEY" not in str(authority)
