import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apm_operator.pki import certificates, foreign
from apm_operator.pki.foreign import Signers, is_unmistakable, readable

NOW = 1_800_000_000.0
ONE, TWO = (certificates.authority(NOW, 3600).certificate for _ in range(2))
SHOP = "shop/one"


def made(
    identifier: bytes | None = None, *, signs: bool = True, sha256: bool = False, by_another: bool = False
) -> bytes:
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
    signer = ec.generate_private_key(ec.SECP256R1()) if by_another else key
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_an_authority_whose_identifier_is_its_keys_is_unmistakable():
    assert is_unmistakable(ONE)
    assert is_unmistakable(made(sha256=True))


@pytest.mark.parametrize(
    "authority",
    [
        made(bytes.fromhex(certificates.key_id(ONE))),
        made(),
        made(sha256=True, signs=False),
        made(sha256=True, by_another=True),
        b"x",
    ],
    ids=["another one's identifier", "none", "no authority", "signed by another", "no certificate"],
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


def test_what_is_known_is_told_to_others_and_counts_there_for_a_while():
    now = [NOW]
    signers = Signers(lambda: now[0])
    signers.note(SHOP, (ONE, TWO))
    signers.note("shop/two", (TWO,))
    text = signers.text()
    assert {agent: set(found) for agent, found in foreign.read(text).items()} == {SHOP: {ONE, TWO}, "shop/two": {TWO}}
    assert text.count("BEGIN CERTIFICATE") == 2

    other = Signers(lambda: now[0])
    other.note("shop/two", (ONE,))
    other.restore(text)
    assert other.of("shop/two") == (ONE,)
    assert other.of(SHOP) == signers.of(SHOP)
    now[0] += 600
    assert other.of(SHOP) == ()
    assert foreign.read("") == {}
    for broken in ("x", "[]", "{}", '{"agents": {"a": ["1"]}, "authorities": {}}'):
        with pytest.raises(ValueError, match=r"."):
            foreign.read(broken)


def test_it_is_told_when_others_count():
    told: list[int] = []
    signers = Signers(lambda: NOW)
    signers.changed = lambda: told.append(1)
    signers.note(SHOP, (ONE,))
    signers.note(SHOP, (ONE,))
    assert len(told) == 1
    signers.note(SHOP, (TWO,))
    signers.release(SHOP)
    signers.release(SHOP)
    assert len(told) == 3


def test_who_has_signed_is_found_by_the_signature():
    pair, other = (certificates.authority(NOW, 3600) for _ in range(2))
    leaf = certificates.sign(pair, certificates.Subject("spiffe://x"), NOW, 60).certificate
    shown = x509.load_pem_x509_certificate(leaf).public_bytes(Encoding.DER)
    assert foreign.has_signed((other.certificate, b"x", pair.certificate), shown)
    assert not foreign.has_signed((other.certificate,), shown)
    assert not foreign.has_signed((), shown)


def test_more_than_a_secret_holds_is_not_told(monkeypatch):
    monkeypatch.setattr(foreign, "_MOST_TOLD", 1500)
    signers = Signers(lambda: NOW)
    for number in range(5):
        signers.note(f"shop/agent-{number}", (certificates.authority(NOW, 3600).certificate,))
    assert list(foreign.read(signers.text())) == ["shop/agent-0", "shop/agent-1"]
