"""Backups as files in a folder, usually of a mounted volume."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from apm_operator.backup import layout
from apm_operator.backup.errors import Exists, Missing, StorageAway, StorageError, StorageFull
from apm_operator.backup.storage.base import Stored, checked, whole

CHUNK = 1 << 16
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
AWAY = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENOTCONN, errno.EREMOTEIO})
"""What file systems answer whose server, or whose disk, is away; another pod mounts them anew."""
NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems answer that know no hard links, such as FAT and some network file systems."""

NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF})
"""What file systems answer that make names durable by themselves, such as some network file systems."""


class Folder:
    """A Storage of files: `KEY`, and `KEY.partial` while it is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list(self) -> Iterator[Stored]:
        """Files only: other folders belong to other policies."""
        with _told("list", "the folder"):
            if not self._path.exists():
                return
            with os.scandir(self._path) as entries:
                found = [each for each in entries if each.is_file(follow_symlinks=False)]
        for entry in found:
            with suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                yield Stored(
                    key=entry.name.removesuffix(layout.PARTIAL),
                    size=facts.st_size,
                    modified=datetime.fromtimestamp(facts.st_mtime, UTC),
                    pending=entry.name.endswith(layout.PARTIAL),
                )

    def folders(self) -> Iterator[str]:
        """Names of the folders right below this one."""
        with _told("list", "the folder"):
            if self._path.exists():
                yield from sorted(each.name for each in self._path.iterdir() if each.is_dir() and not each.is_symlink())

    def now(self) -> datetime:
        """By the clock of the file system, which on a network is the server's; of this machine where it is full."""
        probe = self._path / f"{layout.CLOCK}{os.getpid()}{layout.PARTIAL}"
        try:
            with _told("write", "a file that tells the time"):
                self._make()
                probe.write_bytes(b"")
                return datetime.fromtimestamp(probe.stat().st_mtime, UTC)
        except StorageFull:
            return datetime.now(UTC)
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)

    @contextmanager
    def read(self, key: str) -> Iterator[BinaryIO]:
        """An error while reading is a StorageError, too."""
        with _open(self._file(key), key) as file:
            yield file

    @contextmanager
    def read_pending(self, key: str) -> Iterator[BinaryIO]:
        """The page cache is told to forget the file first, so that the bytes come from the disk."""
        with _open(self._partial(key), key) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            yield file

    def create(self, key: str) -> FileSink:
        """An earlier partial file, or data without manifest, is unlinked: whoever still writes to it hurts nobody."""
        name = layout.name_of(key)
        if self._file(key).exists():
            if name is None or self._file(layout.manifest_key(name)).exists():
                raise Exists(f"{key} is in the storage already")
            self.remove(key)
        with _told("write", key):
            self._make()
            return FileSink(self._partial(key), key)

    def publish(self, key: str) -> None:
        """A hard link never overwrites; where there are none, nothing but the Lease keeps others away."""
        partial, file = self._partial(key), self._file(key)
        with _told("publish", key):
            try:
                os.link(partial, file, follow_symlinks=False)
                partial.unlink()
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                if file.exists():
                    raise FileExistsError from None
                partial.rename(file)
            _sync_folder(self._path)

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        """Written beside, and renamed."""
        if not replace and self._file(key).exists():
            raise Exists(f"{key} is in the storage already")
        with _told("write", key):
            self._make()
            sink = FileSink(self._partial(key), key)
        try:
            sink.write(data)
            sink.finish()
            if not replace:
                self.publish(key)
                return
            with _told("publish", key):
                self._partial(key).rename(self._file(key))
                _sync_folder(self._path)
        except BaseException:
            sink.abort()
            raise

    def get(self, key: str) -> bytes:
        """All of the file."""
        with self.read(key) as file:
            return whole(file, key)

    def remove(self, key: str, *, pending: bool = False) -> None:
        """Unlinks it and makes that durable."""
        with _told("remove", key), suppress(FileNotFoundError):
            (self._partial(key) if pending else self._file(key)).unlink()
            _sync_folder(self._path)

    def _file(self, key: str) -> Path:
        return self._path / checked(key)

    def _partial(self, key: str) -> Path:
        return self._path / (checked(key) + layout.PARTIAL)

    def _make(self) -> None:
        """The folder, with every new name on the way to it made durable."""
        missing = [each for each in (self._path, *self._path.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(each.parent)


class FileSink:
    """A partial file that is being written."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
        self._identity = os.fstat(self._file.fileno())

    def write(self, data: bytes | memoryview) -> int:
        """All of it, whatever the operating system takes at a time."""
        rest = memoryview(data)
        with _told("write", self._key):
            while rest:
                rest = rest[self._file.write(rest) :]
        return len(data)

    def finish(self) -> None:
        """File and folder are synced: a power cut loses neither the bytes nor the name."""
        with _told("write", self._key):
            os.fsync(self._file.fileno())
            self._file.close()
            _sync_folder(self._path.parent)

    def abort(self) -> None:
        """Removes the partial file, unless a later writer has put its own in the place."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            if os.path.samestat(self._identity, self._path.lstat()):
                self._path.unlink()


class _Source(io.FileIO):
    """A file whose errors are a storage's."""

    def __init__(self, path: Path, key: str) -> None:
        self._key = key
        with _told("read", key):
            super().__init__(path, "rb", opener=_open_plain)

    def readinto(self, buffer: Any) -> int | None:
        with _told("read", self._key):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with _told("read", self._key):
            return super().readall() or b""


def _open_plain(path: str, flags: int) -> int:
    """Neither a link to somewhere else, nor a pipe that nobody writes to."""
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no file")
    return file


def _open(path: Path, key: str) -> io.BufferedReader:
    return io.BufferedReader(_Source(path, key), CHUNK)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(folder)


@contextmanager
def _told(action: str, key: str) -> Iterator[None]:
    """Errors of the operating system as those of a storage."""
    try:
        yield
    except FileExistsError:
        raise Exists(f"{key} is in the storage already") from None
    except FileNotFoundError:
        raise Missing(f"{key} is not in the storage") from None
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(
                f"no space is left to {action} {key}: {error.strerror}; free some, or enlarge it"
            ) from error
        kind = StorageAway if error.errno in AWAY else StorageError
        raise kind(f"can't {action} {key}: {error.strerror or error}") from error
