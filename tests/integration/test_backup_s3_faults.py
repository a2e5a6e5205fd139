"""What becomes of backups when a real S3 server, or the way to it, fails."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup import catalogue
from apm_operator.backup.errors import Exists, StorageAway, StorageError, StorageFull
from apm_operator.backup.storage.opening import open_storage
from apm_operator.backup.storage.s3_client import ATTEMPTS, Timing
from cluster.s3server import S3Server
from fakes import s3_faults
from fakes.backups import manifest, store
from fakes.storage_contract import LARGE, read
from integration.storages import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apm_operator.backup.storage.base import Storage
    from fakes.s3_faults import Faults

QUICK = Timing(silence=1.0, pause=0.02)
PART = 5 << 20


@pytest.fixture
def faults(s3_server: S3Server) -> Iterator[Faults]:
    with s3_faults.before(s3_server.port) as it:
        yield it


@pytest.fixture
def storage(s3_server: S3Server, faults: Faults) -> Storage:
    prefix = f"shop/{secrets.token_hex(4)}"
    between = bucket(s3_server, endpoint=f"http://127.0.0.1:{faults.port}", prefix=prefix)
    return open_storage(between, timing=QUICK, part=PART)


def a_part(method: str, path: str) -> bool:
    return method == "PUT" and "partNumber" in path


def completing(method: str, path: str) -> bool:
    return method == "POST" and "uploadId" in path


def the_data(method: str, path: str) -> bool:
    return method == "GET" and ".archive.gz" in path


@pytest.mark.parametrize("kind", ["fail", "hang", "cut upload", "lose answer"])
@pytest.mark.parametrize("request_kind", [a_part, completing], ids=["part", "complete"])
def test_an_upload_outlives_faults_that_pass(storage: Storage, faults: Faults, kind, request_kind):
    faults.plan(kind, 2, request_kind)
    store(storage, manifest("n1", data=LARGE), data=LARGE)
    assert faults.times == 0
    assert read(storage, "n1.archive.gz") == LARGE
    assert [each.problem for each in catalogue.read(storage).entries] == [""]


@pytest.mark.parametrize("kind", ["fail", "hang", "cut upload"])
def test_an_upload_that_fails_for_good_leaves_nothing(storage: Storage, faults: Faults, kind):
    store(storage, manifest("n1"))
    faults.plan(kind, ATTEMPTS, a_part)
    sink = storage.create("n2.archive.gz")
    with pytest.raises(StorageAway, match=r"can't write n2\.archive\.gz: the S3 server"):
        both(sink.write, sink.finish)
    sink.abort()
    found = catalogue.read(storage)
    assert ([each.name for each in found.entries], found.leftovers) == (["n1"], ())
    store(storage, manifest("n2"))
    assert read(storage, "n2.archive.gz") == b"data"


def test_a_new_backup_asks_for_no_removal(storage: Storage, faults: Faults):
    store(storage, manifest("n1"))
    assert [path for method, path in faults.asked if method == "DELETE"] == []


def test_a_full_bucket_is_told_at_once(storage: Storage, faults: Faults):
    faults.plan("full", 100, a_part)
    sink = storage.create("n1.archive.gz")
    with pytest.raises(StorageFull, match="no space is left"):
        both(sink.write, sink.finish)
    sink.abort()
    assert len([path for method, path in faults.asked if a_part(method, path)]) == 1
    assert list(storage.list()) == []


@pytest.mark.parametrize("kind", ["fail", "hang", "cut answer"])
def test_reading_goes_on_where_it_was_cut(storage: Storage, faults: Faults, kind):
    store(storage, manifest("n1", data=LARGE), data=LARGE)
    faults.plan(kind, 3, the_data)
    assert read(storage, "n1.archive.gz") == LARGE
    assert faults.times == 0


def test_reading_that_fails_for_good(storage: Storage, faults: Faults):
    store(storage, manifest("n1", data=LARGE), data=LARGE)
    with storage.read("n1.archive.gz") as source:
        assert source.read(1000) == LARGE[:1000]
        faults.plan("hang", 100, the_data)
        faults.target = 1
        with pytest.raises(StorageError, match="can't read n1"):
            read(storage, "n1.archive.gz")


@pytest.mark.parametrize("kind", ["fail", "hang", "lose answer"])
def test_a_manifest_is_put_once(storage: Storage, faults: Faults, kind):
    faults.plan(kind, 2, lambda method, path: method == "PUT" and "manifest" in path)
    storage.put("n1.manifest.json", b"{}")
    assert storage.get("n1.manifest.json") == b"{}"
    with pytest.raises(Exists):
        storage.put("n1.manifest.json", b"{ }")


@pytest.mark.parametrize("kind", ["fail", "hang"])
def test_listing_and_removing_outlive_faults(storage: Storage, faults: Faults, kind):
    store(storage, manifest("n1"))
    faults.plan(kind, 2, lambda method, _path: method == "GET")
    assert {each.key for each in storage.list()} == {"n1.archive.gz", "n1.manifest.json"}
    faults.plan(kind, 2, lambda method, _path: method == "DELETE")
    storage.remove("n1.archive.gz")
    assert {each.key for each in storage.list()} == {"n1.manifest.json"}


def test_errors_tell_no_secrets(s3_server: S3Server, tmp_path):
    key, secret = ((s3_server.folder / name).read_text() for name in ("access-key-id", "secret-access-key"))
    (tmp_path / "wrong").write_text("a-wrong-secret-of-somebody")
    wrong = bucket(s3_server, secret_access_key_file=str(tmp_path / "wrong"))
    nowhere = bucket(s3_server, endpoint="http://127.0.0.1:1")
    elsewhere = bucket(s3_server, bucket="no-such-bucket")
    said = []
    for each in (wrong, nowhere, elsewhere):
        with pytest.raises(StorageError) as error:
            list(open_storage(each, timing=QUICK).list())
        said.append(str(error.value))
        assert error.value.again is (each is nowhere)
        assert not any(word in said[-1] for word in (key, secret, "somebody", "Signature=", str(tmp_path)))
    assert "SignatureDoesNotMatch: check secret-access-key" in said[0]
    assert "can't be reached" in said[1]
    assert "NoSuchBucket: check the bucket's name" in said[2]


def both(writing, finishing) -> None:
    writing(LARGE)
    finishing()
