"""Server-side encryption by a real S3 server that has it: MinIO, whose program `APM_TEST_MINIO` names.

The server of the other tests has none, and MinIO takes too long to build for every run of them: without the program
these tests are left out.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import ssl
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup import job
from apm_operator.backup.errors import StorageError
from apm_operator.backup.storage.opening import open_storage
from apm_operator.backup.storage.s3_client import Timing
from cluster.progress import wait_until
from fakes.authority import Authority
from fakes.storage_contract import CONTRACT, LARGE, read, what_was_being_written_can_be_found_and_removed, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apm_operator.backup.storage.base import Storage

PROGRAM = os.environ.get("APM_TEST_MINIO", "")
PART = 5 << 20
if not PROGRAM:
    pytest.skip("APM_TEST_MINIO names no program of MinIO", allow_module_level=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate, credentials and data of the server."""
    it = tmp_path_factory.mktemp("minio")
    authority = Authority("s3")
    certificate, key = authority.issue()
    (it / "certs").mkdir()
    (it / "data" / "backups").mkdir(parents=True)
    for name, text in {
        "certs/public.crt": certificate,
        "certs/private.key": key,
        "ca": authority.pem,
        "access-key-id": "apm",
        "secret-access-key": secrets.token_urlsafe(20),
        "own-key": base64.b64encode(secrets.token_bytes(32)).decode(),
    }.items():
        (it / name).write_text(text)
    return it


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "MINIO_ROOT_USER": (folder / "access-key-id").read_text(),
        "MINIO_ROOT_PASSWORD": (folder / "secret-access-key").read_text(),
        "MINIO_KMS_SECRET_KEY": f"apm:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    }
    command = [PROGRAM, "server", f"--address=127.0.0.1:{port}", f"--certs-dir={folder / 'certs'}", folder / "data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    trusted = ssl.create_default_context(cafile=str(folder / "ca"))

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            url = f"https://127.0.0.1:{port}/minio/health/live"
            with urllib.request.urlopen(url, timeout=2, context=trusted):
                return True
        except OSError:
            return False

    try:
        wait_until("MinIO", answers, seconds=60, every=0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["AES256", "aws:kms", "customer"])
def encryption(request: pytest.FixtureRequest, folder: Path) -> job.S3Encryption:
    own = str(folder / "own-key") if request.param == "customer" else None
    return job.S3Encryption(mode=request.param, key_file=own, kms_key_id="apm" if request.param == "aws:kms" else None)


def bucket(folder: Path, port: int, encryption: job.S3Encryption | None, prefix: str) -> job.S3Storage:
    return job.S3Storage(
        endpoint=f"https://127.0.0.1:{port}",
        bucket="backups",
        prefix=prefix,
        access_key_id_file=str(folder / "access-key-id"),
        secret_access_key_file=str(folder / "secret-access-key"),
        ca_file=str(folder / "ca"),
        encryption=encryption,
    )


@pytest.fixture
def given(folder: Path, port: int, encryption: job.S3Encryption) -> job.S3Storage:
    return bucket(folder, port, encryption, f"shop/{secrets.token_hex(4)}")


# MinIO finds uploads that were broken off by their whole key alone, and removes them by itself after a day.
KEPT = [check for check in CONTRACT if check is not what_was_being_written_can_be_found_and_removed]


@pytest.mark.parametrize("check", KEPT, ids=lambda check: check.__name__)
def test_contract(given: job.S3Storage, check: Callable[[Storage], None]):
    check(open_storage(given, timing=Timing(silence=5.0, pause=0.02), part=PART))


def test_the_server_s_disk_holds_no_plain_data(folder: Path, given: job.S3Storage):
    storage = open_storage(given, part=PART)
    write(storage, "n1.archive.gz", LARGE)
    storage.publish("n1.archive.gz")
    storage.put("n1.manifest.json", b'{"documents": "which nobody may read"}')
    files = [path for path in (folder / "data" / "backups" / given.prefix).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > len(LARGE)
    for path in files:
        raw = path.read_bytes()
        assert LARGE[:1000] not in raw
        assert b"which nobody may read" not in raw
    assert read(storage, "n1.archive.gz") == LARGE


def test_without_the_key_of_one_s_own_nothing_is_read(folder: Path, port: int):
    own = job.S3Encryption(mode="customer", key_file=str(folder / "own-key"))
    prefix = f"shop/{secrets.token_hex(4)}"
    open_storage(bucket(folder, port, own, prefix)).put("n1.manifest.json", b"{}")
    (folder / "other-key").write_text(base64.b64encode(bytes(32)).decode())
    other = job.S3Encryption(mode="customer", key_file=str(folder / "other-key"))
    for encryption in (other, None):
        with pytest.raises(StorageError, match="can't read"):
            open_storage(bucket(folder, port, encryption, prefix)).get("n1.manifest.json")
