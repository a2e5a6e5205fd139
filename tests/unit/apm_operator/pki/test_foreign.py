import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apm_operator.pki import certificates
from apm_operator.pki.foreign import Signers, is_unmistakable, readable

NOW = 1_800_000_000.0
ONE, TWO = (certificates.authority(NOW, 3600).certificate for _ in range(2))
SHOP = "shop/one"


def made(identifier: bytes | None = None, *, signs: bool = True, sha256: bool = False) -> bytes:
    """An authority whose key has this identifier."""
    key = ec.generate_private_key(ec.SECP256R1())
    if sha256:
        bits = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        identifier = hashlib.sha256(bits).digest()[:20]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "house")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime.fromtimestamp(NOW, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(NOW + 3600, dt.UTC))
        .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
    )
    if identifier is not None:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_an_authority_whose_identifier_is_its_keys_is_unmistakable():
    assert is_unmistakable(ONE)
    assert is_unmistakable(made(sha256=True))


@pytest.mark.parametrize(
    "authority",
    [made(bytes.fromhex(certificates.key_id(ONE))), made(), made(sha256=True, signs=False), b"x"],
    ids=["another one's identifier", "none", "no authority", "no certificate"],
)
def test_one_that_could_be_taken_for_another_is_not(authority):
    assert not is_unmistakable(authority)


def test_of_what_somebody_else_wrote_only_certificates_are_read():
    assert readable("who reads this\n" + ONE.decode() + TWO.decode()) == (ONE, TWO)
    assert len(readable(ONE.decode() * 20)) == 8
    for text in ("", "x", "\xe4", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ONE.decode() * 999):
        assert readable(text) == ()


def test_one_that_was_replaced_counts_for_a_while():
    now = [NOW]
    signers = Signers(lambda: now[0])
    signers.note(SHOP, (ONE,))
    now[0] += 3600
    signers.note(SHOP, (TWO,))
    now[0] += 300
    signers.note(SHOP, (TWO,))
    assert signers.of(SHOP) == tuple(sorted((ONE, TWO)))
    now[0] += 300
    assert signers.of(SHOP) == (TWO,)
    assert signers.of("shop/two") == ()
    signers.note(SHOP, ())
    assert signers.of(SHOP) == (TWO,)
    now[0] += 600
    signers.note(SHOP, ())
    assert signers.of(SHOP) == ()
    signers.note(SHOP, (ONE,))
    signers.release(SHOP)
    assert signers.of(SHOP) == ()
