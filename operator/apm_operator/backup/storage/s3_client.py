"""Requests to an S3 server, tried again where that helps, with errors that tell what to do and no secrets.

The client library's own uploads neither refuse to overwrite nor give up cleanly; its single requests, which it keeps to
itself, can do both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import urllib3
from minio import Minio
from minio.datatypes import Part
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.sse import Sse, SseCustomerKey
from urllib3.exceptions import HTTPError

from apm_operator.backup.errors import Exists, Missing, StorageAway, StorageError, StorageFull

T = TypeVar("T")

ATTEMPTS = 5
PASSING = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted"})
FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "StorageFull"})
GONE = frozenset({"NoSuchKey", "NoSuchUpload"})
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
UNKNOWN_CONDITION = frozenset({"NotImplemented", "MethodNotAllowed"})


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: for a connection and each reading from or writing to it, and before the first further attempt."""

    silence: float = 60.0
    pause: float = 0.5

    def pool(self, ca_file: str | None) -> urllib3.PoolManager:
        """Connections; `attempt` counts the attempts, so they make none of their own."""
        return urllib3.PoolManager(
            maxsize=4,
            timeout=urllib3.Timeout(connect=self.silence, read=self.silence),
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=ca_file,
        )


class Client(Minio):
    """What the storage asks of the server; each method is one kind of request."""

    def __init__(self, bucket: str, sse: Sse | None, timing: Timing, **options: Any) -> None:
        super().__init__(**options)
        self._bucket, self._sse, self._timing = bucket, sse, timing

    def virtual_hosts(self, *, on: bool) -> None:
        """Whether the bucket is part of the host's name or of the path."""
        self._base_url.virtual_style_flag = on

    @property
    def customer_key(self) -> SseCustomerKey | None:
        """What has to come with each request where the server does not keep the key."""
        return self._sse if isinstance(self._sse, SseCustomerKey) else None

    def attempt(self, action: str, key: str, request: Callable[[], T]) -> T:
        """Ask, and ask again after a while where the server or the network failed.

        Raises:
            StorageError: or one of its kinds.
        """
        for number in range(ATTEMPTS):
            try:
                return request()
            except (MinioException, HTTPError, OSError) as error:
                if not passing(error) or number == ATTEMPTS - 1:
                    raise told(error, action, key) from None
            time.sleep(self._timing.pause * 2**number * random.uniform(0.5, 1.0))  # noqa: S311 - only spreads load
        raise AssertionError  # the loop ends by return or raise

    def put_new(self, key: str, data: bytes, *, replace: bool) -> None:
        """Put a small object; one that is there already only gives way where `replace` is set."""
        headers: dict[str, Any] = dict(self._sse.headers()) if self._sse else {}
        conditions: list[dict[str, Any]] = [{}] if replace else [{"If-None-Match": "*"}, {}]
        self._with_condition(
            lambda condition: self._put_object(self._bucket, key, data, {**headers, **condition}), conditions
        )

    def begin(self, key: str) -> str:
        """Begin a multipart upload."""
        headers: dict[str, Any] = dict(self._sse.headers()) if self._sse else {}
        return self._create_multipart_upload(self._bucket, key, headers)

    def part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        """Upload a part; the library adds a digest of it, which the server checks."""
        headers: dict[str, Any] = dict(self.customer_key.headers()) if self.customer_key else {}
        return Part(number, self._upload_part(self._bucket, key, data, headers, upload, number))

    def complete(self, key: str, upload: str, parts: list[Part]) -> None:
        """Make the parts an object, unless there is one already."""

        def request(condition: dict[str, Any]) -> None:
            extra = _Condition(self.customer_key, condition)
            self._complete_multipart_upload(self._bucket, key, upload, parts, extra)  # type: ignore[arg-type]

        self._with_condition(request, [{"If-None-Match": "*"}, {}])

    def give_up(self, key: str, upload: str) -> None:
        """Drop a multipart upload."""
        self._abort_multipart_upload(self._bucket, key, upload)

    def uploads(self, prefix: str) -> list[Any]:
        """Multipart uploads that were neither completed nor dropped."""
        found: list[Any] = []
        marks: dict[str, Any] = {}
        while True:
            page = self._list_multipart_uploads(self._bucket, prefix=prefix, **marks)
            found.extend(page.uploads)
            if not page.is_truncated:
                return found
            marks = {"key_marker": page.next_key_marker, "upload_id_marker": page.next_upload_id_marker}

    def date(self) -> str:
        """The server's clock, as it says in its answers."""
        return str(self._execute("HEAD", self._bucket).headers.get("date", ""))

    def _with_condition(self, request: Callable[[dict[str, Any]], object], conditions: list[dict[str, Any]]) -> None:
        for condition in conditions:
            try:
                request(condition)
            except S3Error as error:
                if error.code not in UNKNOWN_CONDITION or condition is conditions[-1]:
                    raise
            else:
                return


class _Condition:
    """Adds headers where the library only lets one add those of a key."""

    def __init__(self, key: SseCustomerKey | None, condition: dict[str, Any]) -> None:
        self._headers = {**(key.headers() if key else {}), **condition}

    def __bool__(self) -> bool:
        return bool(self._headers)

    def headers(self) -> dict[str, Any]:
        return self._headers


def status(error: BaseException) -> int:
    """HTTP status of an answer; 0 where there was none."""
    if isinstance(error, S3Error):
        return int(getattr(error.response, "status", 0))
    if isinstance(error, ServerError):
        return int(error.status_code)
    if isinstance(error, InvalidResponseError):
        return int(error._code)  # noqa: SLF001 - it has no other way to tell
    return 0


def passing(error: BaseException) -> bool:
    """Whether it may go well the next time."""
    if isinstance(error, S3Error) and (error.code in PASSING or error.code in FULL):
        return error.code in PASSING
    if isinstance(error, MinioException):
        return status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or status(error) == HTTPStatus.TOO_MANY_REQUESTS
    return "CERTIFICATE_VERIFY_FAILED" not in str(error)


def told(error: BaseException, action: str, key: str) -> StorageError:
    """The error as a storage's: with the server's code, without what it repeats of the request."""
    if isinstance(error, StorageError):
        return error
    code, number = error.code if isinstance(error, S3Error) else "", status(error)
    if code in GONE or (number == HTTPStatus.NOT_FOUND and code != "NoSuchBucket"):
        return Missing(f"{key} is not in the storage")
    if code in TAKEN or number == HTTPStatus.PRECONDITION_FAILED:
        return Exists(f"{key} is in the storage already")
    if code in FULL or number == HTTPStatus.INSUFFICIENT_STORAGE:
        return StorageFull(f"no space is left to {action} {key} in the bucket; free some, or enlarge it")
    kind = StorageAway if passing(error) else StorageError
    return kind(f"can't {action} {key}: {_cause(error, code or '', number)}")


def _cause(error: BaseException, code: str, number: int) -> str:
    if code:
        return f"the S3 server says {code}{HINTS.get(code, '')}"
    if number:
        return f"the S3 server answers with status {number}"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "the S3 server's certificate is of no known authority, or for another name; name its CA"
    return f"the S3 server can't be reached, or does not answer ({type(error).__name__})"


HINTS = {
    "AccessDenied": ": the credentials are wrong, or lack the right to it",
    "InvalidAccessKeyId": ": check access-key-id",
    "SignatureDoesNotMatch": ": check secret-access-key and the region",
    "NoSuchBucket": ": check the bucket's name, or make it",
    "RequestTimeTooSkewed": ": the clocks of this node and of the server differ",
    "AuthorizationHeaderMalformed": ": check the region",
}
