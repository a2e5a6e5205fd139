"""Long-running processes known by a record on disk, so that a later run can end exactly these.

A record is the process's own line of `/proc/<pid>/stat`, written by the process itself before it becomes
the program: there is no moment at which it runs unrecorded. Process id and start time together name it, so a
recycled id is never taken for it.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import StartError
from cluster.progress import wait_until
from cluster.settings import build_environment

_RECORD_THEN_RUN = 'cat "/proc/$$/stat" >"$0" && exec "$@"'


@dataclass(frozen=True)
class Identity:
    """A process: its id and its start in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def parse(cls, stat: str) -> "Identity":
        """Read a line of `/proc/<pid>/stat` (proc(5)): field 1 and field 22; field 2 may hold anything."""
        pid, _, rest = stat.partition(" ")
        return cls(int(pid), int(rest.rpartition(")")[2].split()[19]))

    def alive(self) -> bool:
        """Whether this very process still runs.

        A zombie does not, unless threads are left: until the last has ended, its ports stay taken.
        """
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        fields = stat.rpartition(")")[2].split()
        ended = fields[0] in "ZX" and int(fields[17]) <= 1
        return Identity.parse(stat) == self and not ended


def myself() -> str:
    """The record of the calling process."""
    return Path("/proc/self/stat").read_text()


def read_record(path: Path) -> Identity | None:
    """The process that `path` records; None where there is no whole record."""
    try:
        return Identity.parse(path.read_text())
    except (FileNotFoundError, ValueError, IndexError):
        return None


@dataclass(frozen=True)
class ProcessTable:
    """The processes of one instance: records in `<directory>/proc`, output in `<directory>/logs`."""

    directory: Path

    def _record(self, name: str) -> Path:
        return self.directory / "proc" / name

    def log(self, name: str) -> Path:
        """File with the output of process `name`."""
        return self.directory / "logs" / f"{name}.log"

    def names(self) -> list[str]:
        """Recorded processes, the last started first."""
        records = list((self.directory / "proc").glob("*"))
        return [r.name for r in sorted(records, key=lambda r: r.stat().st_mtime_ns, reverse=True)]

    def alive(self, name: str) -> bool:
        """Whether process `name` runs."""
        identity = read_record(self._record(name))
        return identity is not None and identity.alive()

    def pid(self, name: str) -> int | None:
        """Process id of `name` while it runs."""
        identity = read_record(self._record(name))
        return identity.pid if identity and identity.alive() else None

    def start(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start `argv` in a session of its own, detached from this one; its output goes to its log.

        Raises:
            StartError: `name` runs already.
        """
        if self.alive(name):
            raise StartError(f"{name} runs already (process {self.pid(name)}): stop it first")
        record = self._record(name)
        for folder in (record.parent, self.log(name).parent):
            folder.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _RECORD_THEN_RUN, str(record), *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=build_environment(**(env or {})),
            )
        _children[child.pid] = child
        wait_until(f"record of {name}", lambda: read_record(record) is not None, seconds=10, every=0.005)

    def check(self, name: str) -> None:
        """Raise StartError with the log's end when process `name` is gone."""
        if not self.alive(name):
            _reap()
            raise StartError(f"{name} ended; the end of {self.log(name)}: {self.tail(name)}")

    def tail(self, name: str, lines: int = 3) -> str:
        """The last lines of the log, joined into one."""
        try:
            text = self.log(name).read_text(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return " | ".join(text.strip().splitlines()[-lines:]) or "(empty)"

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to process `name`, if it runs."""
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, number)

    def stop(self, name: str, *, grace: float = 10, kill: bool = False) -> None:
        """End process `name`: SIGTERM, after `grace` seconds (or at once) SIGKILL; then drop its record."""
        identity = read_record(self._record(name))
        if identity is not None and identity.alive():
            if not kill:
                self.signal(name, signal.SIGTERM)
                try:
                    wait_until(f"end of {name}", lambda: not identity.alive(), seconds=grace, every=0.02)
                except StartError:
                    kill = True
            if kill:
                self.signal(name, signal.SIGKILL)
                wait_until(f"end of {name}", lambda: not identity.alive(), seconds=10, every=0.02)
        _reap()
        self._record(name).unlink(missing_ok=True)

    def stop_all(self, *, grace: float = 10) -> None:
        """End every recorded process, the last started first."""
        for name in self.names():
            self.stop(name, grace=grace)


_children: dict[int, "subprocess.Popen[bytes]"] = {}


def _reap() -> None:
    """Collect ended children of this process, so that none stays a zombie."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]
