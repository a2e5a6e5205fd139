import base64
import stat
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from cluster import kubeconfig
from cluster.pki import Pki


def test_a_kubeconfig_embeds_a_client_that_the_authority_signed(tmp_path: Path):
    pki = Pki(tmp_path / "pki", "127.0.0.1", "10.215.0.0/16")
    pki.create()
    path = kubeconfig.write(
        tmp_path / "config",
        server="https://127.0.0.1:1",
        authority=pki.authority.pair.certificate,
        client=pki.admin,
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    embedded = base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
    client = x509.load_pem_x509_certificate(embedded)
    authority = x509.load_pem_x509_certificate(pki.authority.pair.certificate.read_bytes())
    client.verify_directly_issued_by(authority)
    [group] = client.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert group.value == "system:masters"


def test_the_api_server_is_known_by_its_service_address(tmp_path: Path):
    pki = Pki(tmp_path, "10.214.0.1", "10.215.0.0/16")
    pki.create()
    certificate = x509.load_pem_x509_certificate(pki.api_server.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "10.214.0.1", "10.215.0.1"}
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
