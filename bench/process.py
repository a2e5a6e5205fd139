"""What a process of this machine uses, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mebibytes(pid: int) -> float:
    """Resident memory of the process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no memory: it has ended")


def wakeups(pid: int) -> int:
    """How often the process's threads have waited for something so far, and were woken by it."""
    states = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status"))
    lines = (line for text in states for line in text.splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))


def memory(pid: int) -> dict[str, float]:
    """Memory of the process in MiB: resident, proportional (pages that n processes share count 1/n), and its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in lines)}
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"rss": round(sizes["Rss"], 1), "pss": round(sizes["Pss"], 1), "uss": round(own, 1)}
