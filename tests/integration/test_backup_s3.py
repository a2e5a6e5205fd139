"""The storage of backups on a real S3 server."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup.errors import StorageError
from apm_operator.backup.storage.opening import open_storage
from apm_operator.backup.storage.s3_client import Timing
from cluster import s3server
from cluster.s3server import S3Server
from fakes.authority import Authority
from fakes.catalogue_contract import CONTRACT as CATALOGUE
from fakes.storage_contract import CONTRACT, large_data_have_no_manifest_until_it_is_put
from integration.storages import bucket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apm_operator.backup.storage.base import Storage

QUICK = Timing(silence=2.0, pause=0.02)
SMALL_PART = 5 << 20


@pytest.fixture
def storage(s3_server: S3Server) -> Storage:
    return open_storage(bucket(s3_server, prefix=f"shop/{secrets.token_hex(4)}"), timing=QUICK, part=SMALL_PART)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(storage: Storage, check: Callable[[Storage], None]):
    check(storage)


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.__name__)
def test_catalogue(storage: Storage, check: Callable[[Storage], None]):
    check(storage)


def test_tls_by_a_ca_of_one_s_own(tmp_path: Path):
    authority, other = Authority("s3"), Authority("other")
    certificate, key = authority.issue()
    files = {"certificate": certificate, "key": key, "ca": authority.pem, "other": other.pem}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with s3server.running(tmp_path / "s3", certificate=tmp_path / "certificate", key=tmp_path / "key") as server:
        given = bucket(server, endpoint=f"https://127.0.0.1:{server.port}", ca_file=str(tmp_path / "ca"))
        large_data_have_no_manifest_until_it_is_put(open_storage(given, timing=QUICK, part=SMALL_PART))
        for ca in (str(tmp_path / "other"), None):
            with pytest.raises(StorageError, match="is of no known authority"):
                list(open_storage(given.model_copy(update={"ca_file": ca}), timing=QUICK).list())
