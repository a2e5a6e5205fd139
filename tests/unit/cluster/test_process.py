import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import StartError
from cluster.process import Identity, ProcessTable, myself, read_record
from cluster.progress import wait_until


@pytest.fixture
def table(tmp_path: Path):
    table = ProcessTable(tmp_path)
    yield table
    table.stop_all(grace=1)


def test_identity_reads_a_command_name_with_spaces_and_brackets():
    stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20"
    assert Identity.parse(stat) == Identity(42, 777)


def test_own_process_is_alive():
    identity = Identity.parse(myself())
    assert identity.pid == os.getpid()
    assert identity.alive()


def test_a_recycled_id_is_another_process():
    identity = Identity.parse(myself())
    assert not Identity(identity.pid, identity.started - 1).alive()


def test_a_started_process_is_recorded_and_stopped(table: ProcessTable):
    table.start("sleeper", ["sleep", "60"])
    pid = table.pid("sleeper")
    assert pid is not None
    table.stop("sleeper")
    assert not table.alive("sleeper")
    assert table.names() == []


_LEADER_ENDS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_whose_first_thread_has_ended_lives_on_in_the_others(table: ProcessTable):
    table.start("headless", [sys.executable, "-c", _LEADER_ENDS])
    pid = table.pid("headless")

    def zombie() -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    wait_until("the end of the first thread", zombie, seconds=10)
    assert table.alive("headless")
    table.stop("headless", grace=0.1, kill=True)
    assert not table.alive("headless")


def test_a_process_deaf_to_sigterm_is_killed(table: ProcessTable):
    table.start("deaf", [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
    # The record is there before the program is: wait until it ignores SIGTERM.
    ignored = 1 << (signal.SIGTERM - 1)

    def deaf() -> bool:
        status = Path(f"/proc/{table.pid('deaf')}/status").read_text().splitlines()
        mask = next(line.split()[1] for line in status if line.startswith("SigIgn"))
        return bool(int(mask, 16) & ignored)

    wait_until("deaf", deaf, seconds=10)
    table.stop("deaf", grace=0.2)
    assert not table.alive("deaf")


def test_a_second_start_under_one_name_is_refused(table: ProcessTable):
    table.start("sleeper", ["sleep", "60"])
    with pytest.raises(StartError, match="runs already"):
        table.start("sleeper", ["sleep", "60"])


def test_an_ended_process_is_reported_with_the_end_of_its_log(table: ProcessTable):
    table.start("broken", ["/bin/sh", "-c", "echo no such flag; exit 1"])
    wait_until("end", lambda: not table.alive("broken"), seconds=10)
    with pytest.raises(StartError, match="no such flag"):
        table.check("broken")


def test_stop_leaves_a_process_alone_that_took_over_the_id(table: ProcessTable, tmp_path: Path):
    other = subprocess.Popen(["sleep", "60"])
    try:
        stat = Path(f"/proc/{other.pid}/stat").read_text()
        started = Identity.parse(stat).started
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "old").write_text(stat.replace(str(started), str(started - 5)))
        table.stop("old")
        assert other.poll() is None
        assert read_record(tmp_path / "proc" / "old") is None
    finally:
        other.kill()
        other.wait()
