from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from apm_operator.backup import job
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.storage.folder import Folder
from apm_operator.backup.storage.opening import below, open_storage
from apm_operator.backup.storage.s3_client import Timing

if TYPE_CHECKING:
    from pathlib import Path

KEY = base64.b64encode(bytes(32)).decode()
UPLOAD = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
DONE = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
NO_UPLOADS = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"


class Recorder(urllib3.PoolManager):
    """Answers as a server does, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.completed = False

    def urlopen(self, method: str, url: str, redirect: bool = True, **request: Any) -> Any:  # noqa: FBT001, FBT002
        del redirect
        self.asked.append((method, url, {name.lower(): value for name, value in request["headers"].items()}))
        headers = {"content-type": "application/xml", "etag": '"e"', "content-length": "4"}
        body, status = b"", 200
        if method == "HEAD":
            status = 200 if self.completed else 404
        elif method == "POST":
            self.completed = "uploadId" in url
            body = DONE if self.completed else UPLOAD
        elif method == "GET":
            body = NO_UPLOADS
        elif method == "DELETE":
            status = 204
        return urllib3.HTTPResponse(body, headers, status, preload_content=False, request_method=method)

    def sent(self, method: str, part_of_url: str) -> list[dict[str, str]]:
        return [headers for verb, url, headers in self.asked if verb == method and part_of_url in url]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    it = Recorder()
    monkeypatch.setattr(Timing, "pool", lambda _self, _ca: it)
    return it


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    contents = {"id": "AKID", "secret": "s3cr3t", "key": KEY, "short": "QUJD", "empty": "", "ca": "-"}
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in contents}


def config(files: dict[str, str], **changes: Any) -> job.S3Storage:
    values = {
        "endpoint": "https://s3.example.com",
        "bucket": "backups",
        "prefix": "/shop/nightly/",
        "access_key_id_file": files["id"],
        "secret_access_key_file": files["secret"],
    }
    return job.S3Storage(**{**values, **changes})


def store(given: job.S3Storage) -> None:
    storage = open_storage(given)
    sink = storage.create("n1.archive.gz")
    sink.write(b"data")
    sink.finish()
    storage.put("n1.manifest.json", b"{}")


@pytest.mark.parametrize(
    ("encryption", "everywhere", "at_the_beginning"),
    [
        (None, {}, {}),
        ({"mode": "AES256"}, {}, {"x-amz-server-side-encryption": "AES256"}),
        (
            {"mode": "aws:kms", "kms_key_id": "k1"},
            {},
            {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "k1"},
        ),
        (
            {"mode": "customer", "key_file": "key"},
            {"x-amz-server-side-encryption-customer-key": KEY},
            {},
        ),
    ],
)
def test_encryption_by_the_server_is_asked_for(recorder: Recorder, files, encryption, everywhere, at_the_beginning):
    if encryption and "key_file" in encryption:
        encryption = {**encryption, "key_file": files["key"]}
    store(config(files, encryption=encryption and job.S3Encryption(**encryption)))
    [begin] = recorder.sent("POST", "?uploads")
    [part] = recorder.sent("PUT", "partNumber=1")
    [complete] = recorder.sent("POST", "uploadId=u1")
    [manifest] = recorder.sent("PUT", "n1.manifest.json")
    [*_, stat] = recorder.sent("HEAD", "n1.archive.gz")
    for headers in (begin, manifest):
        assert {**everywhere, **at_the_beginning}.items() <= headers.items()
    for headers in (part, complete, stat):
        assert everywhere.items() <= headers.items()
        assert "x-amz-server-side-encryption" not in headers
    assert complete["if-none-match"] == manifest["if-none-match"] == "*"
    assert all("s3cr3t" not in str(each) for each in recorder.asked)


@pytest.mark.parametrize(
    ("changes", "begin"),
    [
        ({}, "https://s3.example.com/backups/shop/nightly/n1.archive.gz"),
        ({"path_style": False}, "https://backups.s3.example.com/shop/nightly/n1.archive.gz"),
        ({"prefix": ""}, "https://s3.example.com/backups/n1.archive.gz"),
        ({"endpoint": "http://s3.shop.svc:7070"}, "http://s3.shop.svc:7070/backups/shop/nightly/n1.archive.gz"),
    ],
)
def test_where_objects_are(recorder: Recorder, files, changes, begin):
    store(config(files, **changes))
    assert next(url for method, url, _ in recorder.asked if method == "PUT").startswith(begin)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint": "s3.example.com"}, "http:// or https://"),
        ({"endpoint": "https://me:pw@s3.example.com"}, "nothing else than a port"),
        ({"endpoint": "https://s3.example.com/backups"}, "has no path"),
        ({"access_key_id_file": "/none/id"}, "can't read the S3 credentials: id"),
        ({"access_key_id_file": "empty"}, "the S3 credentials is empty"),
        ({"secret_access_key_file": None}, "one of them is missing"),
        ({"ca_file": "/none/ca"}, "can't read the CA"),
        ({"encryption": {"mode": "aws:kms"}}, "needs the id of a key"),
        ({"encryption": {"mode": "customer"}}, "needs the key"),
        ({"encryption": {"mode": "customer", "key_file": "short"}}, "32 bytes in base64"),
        (
            {"endpoint": "http://s3.example.com", "encryption": {"mode": "customer", "key_file": "key"}},
            "needs an https:// endpoint",
        ),
    ],
)
def test_what_does_not_fit_is_told(files, changes, message):
    changes = {name: files.get(value, value) if isinstance(value, str) else value for name, value in changes.items()}
    if encryption := changes.get("encryption"):
        file = encryption.get("key_file")
        changes["encryption"] = job.S3Encryption(**{**encryption, "key_file": files[file] if file else None})
    with pytest.raises(ConfigError, match=message) as error:
        open_storage(config(files, **changes))
    assert "pw@" not in str(error.value)


def test_folders_and_what_is_below(tmp_path: Path, files):
    assert isinstance(open_storage(job.FolderStorage(path=str(tmp_path))), Folder)
    assert below(job.FolderStorage(path="/backups/"), "shop") == job.FolderStorage(path="/backups/shop")
    assert below(config(files, prefix=""), "shop") == config(files, prefix="shop")
    assert below(config(files, prefix="a/b/"), "shop") == config(files, prefix="a/b/shop")
