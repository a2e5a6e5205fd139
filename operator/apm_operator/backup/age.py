"""Encryption of streams by age (https://age-encryption.org/v1); the library works in a thread between pipes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyrage
from pyrage import x25519

from apm_operator.backup.errors import ConfigError, Damaged, KeyMissing

CHUNK = 1 << 16


def recipients(keys: Sequence[str]) -> list[Any]:
    """Public keys (`age1…`) as the library wants them.

    Raises:
        ConfigError: one of them is none, or there are none.
    """
    if not keys:
        raise ConfigError("encryption needs at least one recipient (age1…)")
    try:
        return [x25519.Recipient.from_str(each) for each in keys]
    except pyrage.RecipientError:
        raise ConfigError("a recipient is no public key of age: it begins with age1, as age-keygen prints it") from None


def identities(path: Path) -> list[Any]:
    """Private keys of a file as age-keygen writes it: one a line, comments behind `#`.

    Raises:
        ConfigError: the file can't be read, or holds something else; keys are never shown.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"can't read the age identities in {path.name}") from None
    keys = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    found = []
    for number, key in keys:
        if not key or key.startswith("#"):
            continue
        try:
            found.append(x25519.Identity.from_str(key))
        except pyrage.IdentityError:
            raise ConfigError(f"line {number} of the age identities in {path.name} is no AGE-SECRET-KEY-1…") from None
    if not found:
        raise ConfigError(f"there is no age identity in {path.name}")
    return found


class Encryptor:
    """Encrypts what is written to it and hands it on, from a thread of its own.

    What `out` raises comes back from `write` or `close`, as it was.
    """

    def __init__(self, out: Callable[[bytes], object], keys: Sequence[str]) -> None:
        public = recipients(keys)
        self._whole = False
        self._failed: list[BaseException] = []
        reading, writing = os.pipe()
        self._pipe = os.fdopen(writing, "wb", buffering=0)
        inlet, outlet = _Inlet(reading, self._ended), _Outlet(out, self._failed.append)
        self._thread = threading.Thread(target=self._work, args=(inlet, outlet, public), name="age", daemon=True)
        self._thread.start()

    def write(self, data: bytes | memoryview) -> int:
        """Blocks while what is behind is slow."""
        try:
            _write_all(self._pipe, data)
        except BrokenPipeError:
            self._thread.join()
            self._raise()
        return len(data)

    def close(self) -> None:
        """Everything has been handed on when it returns."""
        self._whole = True
        self._pipe.close()
        self._thread.join()
        self._raise()

    def abort(self) -> None:
        """Ends the thread; what was handed on is no whole file."""
        self._pipe.close()
        self._thread.join()

    def _ended(self) -> None:
        if not self._whole:
            raise BrokenPipeError

    def _raise(self) -> None:
        if self._failed:
            raise self._failed[0]

    def _work(self, source: _Inlet, target: _Outlet, keys: list[Any]) -> None:
        try:
            pyrage.encrypt_io(source, target, keys)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the caller is
            self._failed.append(error)
        finally:
            source.close()


@contextmanager
def decrypting(source: BinaryIO, keys: list[Any]) -> Iterator[BinaryIO]:
    """Reads what is encrypted; `keys` are of `identities`.

    Raises:
        KeyMissing: none of the keys opens it (or the part of the header that is theirs is damaged).
        Damaged: it was changed or cut off. Also while reading: nothing is handed out that was not authenticated.
    """
    failed: list[BaseException] = []
    reading, writing = os.pipe()
    pipe = os.fdopen(writing, "wb", buffering=0)

    def work() -> None:
        try:
            pyrage.decrypt_io(_Source(source, failed.append), _Outlet(partial(_write_all, pipe), failed.append), keys)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the reader is
            failed.append(_meaning(error))
        finally:
            pipe.close()

    def ended() -> None:
        thread.join()
        if failed:
            raise failed[0]

    inlet = _Inlet(reading, ended)
    thread = threading.Thread(target=work, name="age", daemon=True)
    thread.start()
    try:
        yield cast("BinaryIO", inlet)
    finally:
        inlet.close()
        thread.join()


def _meaning(error: BaseException) -> BaseException:
    if isinstance(error, pyrage.DecryptError) and "No matching keys" in str(error):
        return KeyMissing("none of the age identities at hand opens this backup")
    if isinstance(error, pyrage.DecryptError | OSError):
        return Damaged(f"the encrypted data are damaged or cut off: {error}")
    return error


def _write_all(pipe: FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[pipe.write(rest) :]


class _Inlet:
    """The reading end of a pipe; `ended` is called where it ends, and may raise."""

    def __init__(self, pipe: int, ended: Callable[[], None]) -> None:
        self._file = os.fdopen(pipe, "rb", buffering=CHUNK)
        self._ended = ended

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if size != 0 and (size < 0 or len(data) < size):
            self._ended()
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()


class _Outlet:
    """What the library writes to; an error of the function behind is kept, since the library tells only its text."""

    def __init__(self, out: Callable[[bytes], object], failed: Callable[[BaseException], None]) -> None:
        self._out, self._failed = out, failed

    def write(self, data: bytes) -> int:
        try:
            self._out(data)
        except BaseException as error:
            self._failed(error)
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


class _Source:
    """What the library reads from; errors are kept likewise."""

    def __init__(self, source: BinaryIO, failed: Callable[[BaseException], None]) -> None:
        self._source, self._failed = source, failed

    def read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except BaseException as error:
            self._failed(error)
            raise
