"""Backups as objects in a bucket of an S3-compatible server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

from minio.datatypes import Part
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from apm_operator.backup import layout
from apm_operator.backup.errors import Exists, Missing, StorageError
from apm_operator.backup.storage.base import Stored, checked, whole
from apm_operator.backup.storage.s3_client import ATTEMPTS, Client, passing, told

PART = 16 << 20
"""Bytes of a part; at most one is being sent while the next one fills. 10,000 of them make 156 GiB."""
PARTS = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
CHUNK = 1 << 18
PATIENCE = 5.0
"""Seconds to wait for a part on its way when the upload is given up: a pod that was told to end has not much time."""


class S3:
    """A Storage of objects. There is no renaming: data without their manifest count as pending."""

    def __init__(self, client: Client, bucket: str, prefix: str, *, part: int = PART) -> None:
        self._client, self._bucket, self._part = client, bucket, part
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def list(self) -> Iterator[Stored]:
        """Objects, and uploads that nobody completed."""
        objects = [each for each in self._entries() if not each.is_dir and each.object_name != self._prefix]
        uploads = self._client.attempt("list", "the bucket", lambda: self._client.uploads(self._prefix))
        keys = {str(each.object_name)[len(self._prefix) :] for each in objects}
        for each in objects:
            key = str(each.object_name)[len(self._prefix) :]
            name = layout.name_of(key)
            pending = name is not None and layout.manifest_key(name) not in keys
            yield Stored(key, int(each.size or 0), each.last_modified or datetime.now(UTC), pending)
        for each in uploads:
            key = str(each.object_name)[len(self._prefix) :]
            if "/" not in key:
                yield Stored(key, 0, each.initiated_time or datetime.now(UTC), pending=True)

    def folders(self) -> Iterator[str]:
        """The next parts of the keys below the prefix."""
        for each in self._entries():
            if each.is_dir:
                yield str(each.object_name)[len(self._prefix) :].rstrip("/")

    def now(self) -> datetime:
        """As the server says in its answers."""
        date = self._client.attempt("reach", "the bucket", self._client.date)
        try:
            return parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            return datetime.now(UTC)

    @contextmanager
    def read(self, key: str) -> Iterator[BinaryIO]:
        """A connection that is cut is opened again where it ended."""
        source = _Source(self._client, self._bucket, self._key(key), key)
        try:
            yield io.BufferedReader(source, CHUNK)
        finally:
            source.close()

    def read_pending(self, key: str) -> Any:
        """`finish` has made it an object."""
        return self.read(key)

    def create(self, key: str) -> Upload:
        """Earlier uploads of this key are dropped, and so are data without a manifest."""
        if self._etag(key) and self._committed(key):
            raise Exists(f"{key} is in the storage already")
        self.remove(key, pending=True)
        return Upload(self, self._client, self._key(key), key, self._part)

    def publish(self, key: str) -> None:
        """There is nothing to do but to see that it is there: the manifest is what makes it count."""
        if not self._etag(key):
            raise Missing(f"{key} is not in the storage")

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        """An object appears whole or not at all."""
        place = self._key(key)
        try:
            self._client.attempt("write", key, lambda: self._client.put_new(place, data, replace=replace))
        except Exists:
            # The first of several attempts may have succeeded without an answer.
            if self.get(key) != data or not data:
                raise

    def get(self, key: str) -> bytes:
        """All of the object."""
        with self.read(key) as source:
            return whole(source, key)

    def remove(self, key: str, *, pending: bool = False) -> None:
        """Of pending ones also the uploads; an object only while it has no manifest."""
        place = self._key(key)
        if pending:
            for each in self._client.attempt("list", key, lambda: self._client.uploads(place)):
                if each.object_name == place:
                    self.drop(key, str(each.upload_id))
            if layout.name_of(key) is None or not self._etag(key) or self._committed(key):
                return
        with suppress(Missing):
            self._client.attempt("remove", key, lambda: self._client.remove_object(self._bucket, place))

    def drop(self, key: str, upload: str) -> None:
        """Drop an upload, if it is still there."""
        with suppress(Missing):
            self._client.attempt("remove", key, lambda: self._client.give_up(self._key(key), upload))

    def discard(self, key: str, etag: str) -> None:
        """Remove data that were completed as `etag` and never got a manifest."""
        if etag and not self._committed(key) and self._etag(key) == etag:
            self._client.attempt("remove", key, lambda: self._client.remove_object(self._bucket, self._key(key)))

    def stat(self, key: str) -> tuple[str, int]:
        """ETag and bytes.

        Raises:
            Missing: there is no such object.
        """
        client, place = self._client, self._key(key)
        facts = client.attempt("read", key, lambda: client.stat_object(self._bucket, place, ssec=client.customer_key))
        return str(facts.etag or ""), int(facts.size or 0)

    def _etag(self, key: str) -> str:
        try:
            return self.stat(key)[0]
        except Missing:
            return ""

    def _committed(self, key: str) -> bool:
        name = layout.name_of(key)
        return name is None or bool(self._etag(layout.manifest_key(name)))

    def _key(self, key: str) -> str:
        return self._prefix + checked(key)

    def _entries(self) -> tuple[Any, ...]:
        client = self._client
        return client.attempt("list", "the bucket", lambda: (*client.list_objects(self._bucket, prefix=self._prefix),))


class Upload:
    """A multipart upload: one part is sent in a thread while the next one fills."""

    def __init__(self, storage: S3, client: Client, place: str, key: str, size: int) -> None:
        self._storage, self._client, self._place, self._key, self._size = storage, client, place, key, size
        self._buffer = bytearray()
        self._parts: list[Part] = []
        self._written, self._etag = 0, ""
        self._id = client.attempt("write", key, lambda: client.begin(place))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="s3")
        self._sending: Future[Part] | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Waits for the part before where this one is full."""
        rest = memoryview(data)
        while rest:
            taken = rest[: self._size - len(self._buffer)]
            self._buffer += taken
            rest = rest[len(taken) :]
            if len(self._buffer) == self._size:
                self._send()
        self._written += len(data)
        return len(data)

    def finish(self) -> None:
        """The server makes it an object only if it got every part as its digest says."""
        if self._buffer or not self._parts:
            self._send()
        self._wait()
        self._thread.shutdown()
        try:
            self._client.attempt("write", self._key, lambda: self._client.complete(self._place, self._id, self._parts))
        except (Missing, Exists):
            # The first of several attempts may have succeeded without an answer; the bytes are read back anyway.
            if self._storage.stat(self._key)[1] != self._written:
                raise
        self._etag = self._storage.stat(self._key)[0]

    def abort(self) -> None:
        """Drops the upload, or what has become of it, unless a manifest makes it a backup."""
        self._buffer.clear()
        if self._sending is not None:
            wait([self._sending], PATIENCE)
        self._thread.shutdown(wait=False, cancel_futures=True)
        with suppress(StorageError):
            self._storage.drop(self._key, self._id)
            self._storage.discard(self._key, self._etag)

    def _send(self) -> None:
        self._wait()
        number, data = len(self._parts) + 1, bytes(self._buffer)
        if number > PARTS:
            raise StorageError(f"can't write {self._key}: it has more than {PARTS} parts of {self._size >> 20} MiB")
        self._buffer.clear()

        def part() -> Part:
            return self._client.part(self._place, self._id, number, data)

        self._sending = self._thread.submit(self._client.attempt, "write", self._key, part)

    def _wait(self) -> None:
        if self._sending is not None:
            self._parts.append(self._sending.result())
            self._sending = None


class _Source(io.RawIOBase):
    """An object that is read from its beginning to its end, over as many connections as it takes."""

    def __init__(self, client: Client, bucket: str, place: str, key: str) -> None:
        self._client, self._bucket, self._place, self._key = client, bucket, place, key
        self._offset, self._etag = 0, ""
        self._response: Any = client.attempt("read", key, self._open)
        self._etag = self._response.headers.get("etag", "")
        self._size = int(self._response.headers["content-length"])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for number in range(ATTEMPTS):
            try:
                if self._response is None:
                    self._response = self._client.attempt("read", self._key, self._open)
                data = self._response.read(min(len(buffer), self._size - self._offset)) if self._left else b""
                if not data and self._left:
                    raise HTTPError("cut off")  # noqa: TRY301 - it is handled as the library's own
            except (MinioException, HTTPError, OSError) as error:
                self._drop()
                if not passing(error) or number == ATTEMPTS - 1:
                    raise told(error, "read", self._key) from None
            else:
                buffer[: len(data)] = data
                self._offset += len(data)
                return len(data)
        raise AssertionError  # the loop ends by return or raise

    def close(self) -> None:
        """Ends the connection: what was not read of the answer is not waited for."""
        if not self.closed:
            self._drop()
        super().close()

    @property
    def _left(self) -> int:
        return self._size - self._offset

    def _open(self) -> Any:
        headers: Any = {"If-Match": self._etag} if self._etag else None
        return self._client.get_object(
            self._bucket, self._place, offset=self._offset, request_headers=headers, ssec=self._client.customer_key
        )

    def _drop(self) -> None:
        if getattr(self, "_response", None) is not None:
            self._response.close()
            self._response.release_conn()
            self._response = None
