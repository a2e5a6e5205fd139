from pathlib import Path

from cluster import instances
from cluster.process import Identity, ProcessTable, myself
from cluster.progress import wait_until


def test_sweep_removes_what_a_dead_owner_left(tmp_path: Path):
    planes = tmp_path / "planes"
    left, kept = planes / "left", planes / "kept"
    for folder in (left, kept):
        folder.mkdir(parents=True)
    mine = Identity.parse(myself())
    (kept / "owner").write_text(myself())
    (left / "owner").write_text(myself().replace(str(mine.started), str(mine.started - 1)))
    orphan = ProcessTable(left)
    orphan.start("etcd", ["sleep", "60"])
    assert instances.sweep(planes) == 1
    assert not left.exists()
    assert kept.exists()
    wait_until("end of the orphan", lambda: not orphan.alive("etcd"), seconds=5)
