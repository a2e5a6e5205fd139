"""Writers of backups that are killed, and storages that are full: nothing good is lost, and the next run succeeds."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup import catalogue, job
from apm_operator.backup.errors import StorageFull
from apm_operator.backup.job import Retention
from apm_operator.backup.prune import prune
from apm_operator.backup.remove import remove
from apm_operator.backup.storage.folder import Folder
from apm_operator.backup.storage.opening import open_storage
from apm_operator.backup.stored import read_manifest
from cluster import s3server
from fakes.backups import manifest, store
from fakes.storage_contract import read
from integration.storages import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apm_operator.backup.storage.base import Storage

KILLS = int(os.environ.get("APM_KILLS", "10"))
WRITER = """
import sys
from itertools import count
from pydantic import TypeAdapter
from apm_operator.backup import job
from apm_operator.backup.job import Retention
from apm_operator.backup.prune import prune
from apm_operator.backup.storage.opening import open_storage
from fakes.backups import manifest, store
run, config = sys.argv[1], TypeAdapter(job.Storage).validate_json(sys.argv[2])
storage = open_storage(config, part=5 << 20)
print("begun", flush=True)
for number in count():
    data = (f"{run}-{number} ".encode() * 600_000)[: 6 << 20]
    store(storage, manifest(f"n{run}-{number}", data=data), data=data)
    prune(storage, Retention(days=0, minimum=2), tested=False)
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(params=["folder", "s3"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[job.Storage]:
    if request.param == "folder":
        yield job.FolderStorage(path=str(tmp_path / "backups"))
        return
    with s3server.running(tmp_path / "s3") as server:
        yield bucket(server, prefix="shop/nightly")


def killed_after(run: int, config: job.Storage, seconds: float) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'operator'}:{root / 'tests'}:{root}"}
    command = [sys.executable, "-c", WRITER, str(run), config.model_dump_json()]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "begun\n"
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    writer.stdout.close()


def whole(storage: Storage) -> list[str]:
    """Names of all backups; each has every byte that its manifest says."""
    entries = catalogue.read(storage).entries
    for each in entries:
        made = read_manifest(storage, each.name)
        assert each.problem == ""
        assert hashlib.sha256(read(storage, made.data)).hexdigest() == made.sha256
    return [each.name for each in entries]


def test_killed_writers_lose_nothing_good_and_leave_nothing_for_ever(config: job.Storage, monkeypatch):
    """Each writer stores and prunes without a pause, so the kills hit every step of both."""
    storage = open_storage(config, part=5 << 20)
    dice = Random(11)  # noqa: S311 - not for secrets
    had_leftovers = 0
    for run in range(KILLS):
        before = whole(storage)
        killed_after(run, config, dice.uniform(0.02, 0.5))
        after = whole(storage)
        assert len(after) >= min(2, len(before))
        had_leftovers += bool(catalogue.read(storage).leftovers)
        store(storage, manifest(f"next-{run}", data=b"next"), data=b"next")
        assert f"next-{run}" in whole(storage)
    assert had_leftovers
    monkeypatch.setattr("apm_operator.backup.retention.SWEPT", -timedelta(days=1))
    good = whole(storage)
    prune(storage, Retention(days=36_500), tested=False)
    found = catalogue.read(storage)
    assert (found.leftovers, [each.name for each in found.entries]) == ((), good)
    remove(storage, ())
    assert list(storage.list()) == []


def test_a_full_folder(tiny: Path):
    storage = Folder(tiny)
    megabyte = bytes(1 << 20)
    store(storage, manifest("n1", data=megabyte), data=megabyte)
    sink = storage.create("n2.archive.gz")
    with pytest.raises(StorageFull, match=r"no space is left to write n2\.archive\.gz"):
        sink.write(megabyte * 4)
    sink.abort()
    assert whole(storage) == ["n1"]
    assert catalogue.read(storage).leftovers == ()
    store(storage, manifest("n3", data=megabyte), data=megabyte)
    assert whole(storage) == ["n1", "n3"]


def test_a_full_folder_can_be_pruned(tiny: Path):
    storage = Folder(tiny)
    data = bytes(1 << 20)
    for number in range(3):
        store(storage, manifest(f"n{number}", data=data, days=90 - number), data=data)
    filler = storage.create("n9.archive.gz")
    with pytest.raises(StorageFull):
        filler.write(data * 2)
    prune(storage, Retention(days=0), tested=False)
    assert whole(storage) == ["n2"]
    filler.abort()
