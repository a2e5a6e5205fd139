"""A run of mongodump whose archive comes out of a pipe."""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from apm_operator.backup import job
from apm_operator.backup.connection import ping, redacted, tool_config
from apm_operator.backup.errors import ConfigError, DumpFailed
from apm_operator.backup.scope import Target
from apm_operator.backup.settings import tool_environment

CHUNK = 1 << 20
_QUIET = 5.0
"""Seconds without data after which MongoDB is asked whether it is there."""
_STALLED = 600.0
"""Seconds without data or progress after which mongodump is given up, although MongoDB is there."""
_TOLD = 12
"""Lines of the end of its log that an error shows."""
_DONE = re.compile(r"done dumping (?P<name>.+) \((?P<count>\d+) documents?\)$")
_DOES_NOT_EXIST = re.compile(r"namespace with DB .* does not exist$")


@dataclass(frozen=True, slots=True)
class Options:
    """What all runs of one backup share.

    Attributes:
        program: mongodump's path.
        parallel: collections at a time. Of more than one, mongorestore has to hold as many at a time as well.
    """

    mongo: job.Mongo
    read_preference: str
    oplog: bool = False
    program: str = "mongodump"
    parallel: int = 1


class Mongodump:
    """A running mongodump.

    Attributes:
        reported: documents by namespace, as it says itself at the end of each.
    """

    def __init__(self, options: Options, process: subprocess.Popen[bytes]) -> None:
        self.reported: dict[str, int] = {}
        self._options, self._process = options, process
        self._bars = ""
        self._last: deque[str] = deque(maxlen=_TOLD)
        self._told = threading.Thread(target=self._listen, name="mongodump", daemon=True)
        self._told.start()

    def chunks(self) -> Iterator[bytes]:
        """Its archive.

        Raises:
            DumpFailed: it ended with an error, or does nothing; only an archive that came to its end counts.
            SourceError: MongoDB does not answer any more.
        """
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        pipe = self._process.stdout.fileno()
        while data := self._read(pipe):
            yield data
        code = self._process.wait()
        self._told.join()
        if code or any(_DOES_NOT_EXIST.search(line) for line in self._last):
            raise DumpFailed(f"mongodump ended with {_code(code)}: {self._end()}")

    def _read(self, pipe: int) -> bytes:
        """The next bytes. mongodump waits for ever for a server that is gone, even where its dump has failed."""
        since, seen = time.monotonic(), self._bars
        while not select.select([pipe], [], [], _QUIET)[0]:
            if self._bars != seen:
                since, seen = time.monotonic(), self._bars
            elif time.monotonic() - since > _STALLED:
                raise DumpFailed(f"mongodump has read nothing for {_STALLED:.0f} s: {self._end()}")
            else:
                ping(self._options.mongo)
        return os.read(pipe, CHUNK)

    def stop(self) -> None:
        """Kill it where it still runs."""
        self._process.kill()
        self._process.wait()
        self._told.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _end(self) -> str:
        return redacted(" | ".join(self._last), self._options.mongo) or "it said nothing"

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - a pipe was asked for
        for raw in self._process.stderr:
            line = raw.decode(errors="replace").rstrip().partition("\t")[2]
            if done := _DONE.search(line):
                self.reported[done["name"]] = int(done["count"])
            if "%)" in line:
                self._bars = line  # of progress: another one each three seconds, even if nothing goes on
            elif line:
                self._last.append(line)


def arguments(target: Target, options: Options, config: int) -> list[str]:
    """The command line, without a secret."""
    chosen = [f"--db={target.database}"] if target.database is not None else []
    if target.collection is not None:
        chosen.append(f"--collection={target.collection}")
    return [
        options.program,
        f"--config=/proc/self/fd/{config}",
        "--archive",
        f"--readPreference={options.read_preference}",
        f"--numParallelCollections={options.parallel}",
        *chosen,
        *(f"--excludeCollection={name}" for name in target.excluded),
        *(["--oplog"] if options.oplog else []),
    ]


@contextmanager
def mongodump(target: Target, options: Options) -> Iterator[Mongodump]:
    """Start it; at the end of the context it is gone, whatever happened.

    Raises:
        ConfigError: there is no such program, or the connection string is wrong.
    """
    with tool_config(options.mongo) as config:
        process = _start(arguments(target, options, config), config)
        run = Mongodump(options, process)
        try:
            yield run
        finally:
            run.stop()


def _start(command: Sequence[str], config: int) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(config,),
            env=tool_environment(),
        )
    except OSError as error:
        raise ConfigError(f"{command[0]} can't be run: {error.strerror}") from None
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, CHUNK)
    return process


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
