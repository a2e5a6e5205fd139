"""mongorestore as a process that is fed an archive, and whose success is not taken on trust."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from pymongo.errors import PyMongoError

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.connection import connect, redacted, tool_config
from apm_operator.backup.errors import ConfigError, SourceError, ToolFailed, ToolKilled
from apm_operator.backup.job import Mongo
from apm_operator.backup.settings import tool_environment

PROGRAM = "mongorestore"
_OPTIONS = ("--archive", "--noIndexRestore", "--stopOnError", "--writeConcern=majority")
_REPORT = re.compile(r"(\d+) document\(s\) restored successfully\. (\d+) document\(s\) failed to restore\.")
_AWAY = re.compile(r"connection\(|connection (?:refused|reset|closed)|server selection|socket was unexpectedly closed")
_KEPT_LINES = 12
_SHOWN = 600
"""Characters of what the tool said at its end: messages share a Job's 4,096 bytes."""
PATIENCE = 60.0
"""Seconds that a server may be away: a replica set has a new primary long before."""
_PULSE = 5.0
_BATCH = 1000
"""Documents that mongorestore inserts at a time by itself."""
_BATCH_BYTES = 4 << 20
_WORKERS = 2
"""That insert at a time: while the server writes one batch, the next one is on its way. More need more memory."""
_LARGE = 1 << 20
"""Bytes of a document from which on the memory is for one worker."""
_GRACE = 10.0
"""Seconds to end after SIGTERM."""


def restore(
    target: Mongo,
    archive: Iterable[bytes],
    names: Sequence[tuple[Key, Key]],
    *,
    mean: int = 0,
    program: str = PROGRAM,
    patience: float = PATIENCE,
) -> int:
    """Restore collections of an archive, each under the name given, without indexes; tells the documents.

    Indexes come later, by createIndexes: a TTL index would remove documents before they were counted.

    Args:
        target: the server.
        archive: mongodump's, not compressed, in pieces.
        names: collections of the archive, and what they are to be called.
        mean: bytes of a document, of the collection with the largest ones.
        program: mongorestore.
        patience: seconds that the server may not answer; mongorestore itself would wait for ever.

    Raises:
        ConfigError: a name that mongorestore can't be told, or there is no such program.
        SourceError: the server was lost.
        ToolFailed: it failed, ended early, or could not restore each document.
        ToolKilled: somebody else ended it.
    """
    with tool_config(target) as config:
        argv = [program, f"--config=/proc/self/fd/{config}", *_OPTIONS, *_bounded(mean), *_namespaces(names)]
        with _running(argv, config) as (process, said), _watched(process, target, patience) as lost:
            fed = _feed(process, archive)
            status = process.wait()
            lines = said()
    if lost.is_set():
        raise SourceError(f"MongoDB did not answer for {patience:.0f} s during the restore")
    found = next((match for line in reversed(lines) if (match := _REPORT.search(line))), None)
    told = f"; it said: {_end(lines, target)}"
    if status < 0:
        raise ToolKilled(
            f"mongorestore was killed by signal {-status}: most likely it needed more memory than "
            f"spec.job.resources.limits.memory allows{told}"
        )
    if status != 0 and _AWAY.search("\n".join(lines)):
        # It says nothing against the backup.
        raise SourceError(f"mongorestore lost its connection to MongoDB{told}")
    if status != 0:
        raise ToolFailed(f"mongorestore ended with status {status}{told}")
    if found is None:
        raise ToolFailed(f"mongorestore did not report what it restored{told}")
    restored, failed = map(int, found.groups())
    if failed:
        raise ToolFailed(f"mongorestore could not restore {failed} of {restored + failed} documents{told}")
    if not fed:
        raise ToolFailed(f"mongorestore ended before it had read the archive{told}")
    return restored


def escaped(key: Key) -> str:
    r"""A name as a pattern that matches it alone: `*` and `\` have a meaning there, and `$` can't be escaped.

    Raises:
        ConfigError: the name has a `$`.
    """
    if "$" in str(key):
        raise ConfigError(f"{key} can't be restored, since mongorestore has no way to name it: exclude it")
    return str(key).replace("\\", "\\\\").replace("*", "\\*")


def _bounded(mean: int) -> list[str]:
    """Where documents are large, a thousand at a time would not fit the memory."""
    return [
        "--numParallelCollections=1",
        f"--numInsertionWorkersPerCollection={_WORKERS if mean < _LARGE else 1}",
        f"--batchSize={min(_BATCH, max(1, _BATCH_BYTES // max(1, mean)))}",
    ]


def _namespaces(names: Sequence[tuple[Key, Key]]) -> Iterator[str]:
    for source, target in names:
        yield f"--nsInclude={escaped(source)}"
        if source != target:
            yield from (f"--nsFrom={escaped(source)}", f"--nsTo={escaped(target)}")


@contextmanager
def _running(argv: Sequence[str], config: int) -> Iterator[tuple[subprocess.Popen[bytes], _Said]]:
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(config,),
            env=tool_environment(),
        )
    except OSError as error:
        raise ConfigError(f"{argv[0]} can't be run: {error.strerror}") from None
    assert process.stderr is not None  # noqa: S101 - it was asked for
    said = _Said(process.stderr)
    try:
        yield process, said
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            process.kill()
            process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]  # it was asked for
        said()
        process.stderr.close()


@contextmanager
def _watched(process: subprocess.Popen[bytes], target: Mongo, patience: float) -> Iterator[threading.Event]:
    """Kill the process when the server does not answer any more; the event says so."""
    lost, over = threading.Event(), threading.Event()

    def watch() -> None:
        wait = int(patience * 1000)
        with connect(target, serverSelectionTimeoutMS=wait, socketTimeoutMS=wait) as client:
            while not over.wait(min(_PULSE, patience)):
                try:
                    client.admin.command("ping")
                except PyMongoError:
                    lost.set()
                    process.kill()
                    return

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()


class _Said:
    """The last lines of a process, read by a thread, so that it is never held up."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._thread = threading.Thread(target=self._read, args=(stream,), name="mongorestore", daemon=True)
        self._thread.start()

    def __call__(self) -> list[str]:
        self._thread.join()
        return list(self._lines)

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._lines.append(line.decode(errors="replace").rstrip())


def _feed(process: subprocess.Popen[bytes], archive: Iterable[bytes]) -> bool:
    """Hand on the archive; whether all of it was taken."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    for piece in archive:
        try:
            process.stdin.write(piece)
        except BrokenPipeError:
            return False
    try:
        process.stdin.close()
    except BrokenPipeError:
        return False
    return True


def _end(lines: Sequence[str], target: Mongo) -> str:
    """The end of what was said, without secrets and times."""
    text = redacted(" | ".join(line.partition("\t")[2] or line for line in lines[-3:]), target)
    return text[-_SHOWN:]
