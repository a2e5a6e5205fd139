"""Seconds, CPU and memory of a backup with its verification, against plain mongodump and mongorestore in the same run.

Two databases: checkpoints as LangGraph's saver for MongoDB writes them, and small documents. Each round dumps with the
plain tool, then with the Job; what the Job stored is restored by the plain tool. Needs MongoDB: that of the local
cluster, or `--uri-file`. The server works on the same machine, and takes most of it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import bson
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.mongodb import MongoDBSaver
from pymongo import MongoClient

from bench.process import rss_mebibytes
from cluster import gobuild, mongodb
from cluster.installation import AGENTS_NAMESPACE, Installation
from cluster.provider import choose

_WORDS = [secrets.token_hex(3) for _ in range(3000)]
_BATCH = 500


@dataclass(frozen=True)
class Usage:
    """What a process and all below it have used; memory is the sum of their resident pages at its highest."""

    seconds: float
    cpu: float
    mebibytes: float


def measure(command: Sequence[str], **environment: str) -> Usage:
    """Run it; its failure ends the benchmark."""
    with tempfile.TemporaryFile() as said:
        begin = time.monotonic()
        process = subprocess.Popen(command, stderr=said, env={**os.environ, **environment})
        watch = Watch(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        watch.over.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{command[0]} failed: {said.read().decode()[-600:]}")
    return Usage(seconds, used.ru_utime + used.ru_stime, watch.peak)


class Watch(threading.Thread):
    """Looks at the memory of a process and its children every few milliseconds."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.over = threading.Event()
        self._pid = pid
        self.start()

    def run(self) -> None:
        """Until it is over."""
        while not self.over.wait(0.02):
            self.peak = max(self.peak, sum(map(_memory, _tree(self._pid))))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _memory(pid: int) -> float:
    try:
        return rss_mebibytes(pid)
    except (OSError, RuntimeError):
        return 0.0


def fill_checkpoints(client: MongoClient[dict[str, Any]], uri: str, database: str, mebibytes: int) -> int:
    """Conversations of ten steps, each with all messages so far; the saver writes one, which is then multiplied."""
    with MongoDBSaver.from_conn_string(uri, db_name=f"{database}_one") as saver:
        for step in range(10):
            checkpoint = empty_checkpoint() | {"channel_values": {"messages": [_text() for _ in range(step * 2 + 2)]}}
            config: Any = {"configurable": {"thread_id": "one", "checkpoint_ns": ""}}
            saved = saver.put(config, checkpoint, {"source": "loop", "step": step}, {})
            saver.put_writes(saved, [("messages", _text())], task_id=f"task-{step}")
    source = client[f"{database}_one"]
    templates = {name: list(source[name].find()) for name in source.list_collection_names()}
    thread = sum(len(bson.encode(each)) for documents in templates.values() for each in documents)
    count = 0
    for name, documents in templates.items():
        rows = (
            {**each, "_id": bson.ObjectId(), "thread_id": f"thread-{number}"}
            for number in range(mebibytes * 2**20 // thread)
            for each in documents
        )
        count += _insert(client[database][name], rows)
        for index in source[name].list_indexes():
            if index["name"] != "_id_":
                options = {key: value for key, value in index.items() if key not in {"v", "key", "ns"}}
                client[database][name].create_index(list(index["key"].items()), **options)
    client.drop_database(f"{database}_one")
    return count


def fill_small(client: MongoClient[dict[str, Any]], _uri: str, database: str, documents: int) -> int:
    """Documents of about a hundred bytes."""
    rows = (
        {"_id": number, "name": f"customer {number}", "city": _WORDS[number % len(_WORDS)], "orders": number % 97}
        for number in range(documents)
    )
    return _insert(client[database]["customers"], rows)


def _insert(collection: Any, rows: Iterator[dict[str, Any]]) -> int:
    count, batch = 0, []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            count += len(collection.insert_many(batch, ordered=False).inserted_ids)
            batch = []
    return count + (len(collection.insert_many(batch).inserted_ids) if batch else 0)


def _text() -> str:
    return " ".join(secrets.choice(_WORDS) for _ in range(60))


def compare(database: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Both ways in turns, so that both meet the server in the same state."""
    uri_file, plain_file, store = folder / "uri", folder / "plain.gz", folder / "store"
    config = folder / "tool.yaml"
    config.write_text(json.dumps({"uri": uri_file.read_text()}))
    dump, restore = str(gobuild.program("mongodump")), str(gobuild.program("mongorestore"))
    plain, ours, restored = [], [], []
    job = {
        "command": "backup",
        "namespace": "bench",
        "policy": "bench",
        "storage": {"kind": "folder", "path": str(store)},
        "source": {"uriFile": str(uri_file)},
        "scope": {"databases": [database]},
    }
    for number in range(rounds):
        plain.append(measure([dump, f"--config={config}", f"--db={database}", "--gzip", f"--archive={plain_file}"]))
        environment = {"APM_JOB": json.dumps(job), "APM_BACKUP_NAME": f"b{number}", "APM_MONGODUMP": dump}
        log = str(folder / "termination-log")
        command = [sys.executable, "-m", "apm_operator.backup"]
        ours.append(measure(command, **environment, APM_TERMINATION_LOG=log))
    archives = {"plain": plain_file, "backup": store / "b0.archive.gz"}
    for archive in archives.values():
        names = [f"--nsInclude={database}.*", f"--nsFrom={database}.*", f"--nsTo={database}_restored.*", "--drop"]
        restored.append(measure([restore, f"--config={config}", "--gzip", f"--archive={archive}", *names]))
    sizes = {name: round(archive.stat().st_size / 2**20, 1) for name, archive in archives.items()}
    return {
        "mongodump": _median(plain),
        "backup_with_verification": _median(ours),
        "wall_ratio": round(median(each.seconds for each in ours) / median(each.seconds for each in plain), 2),
        "mongorestore_of": {name: _median([each]) for name, each in zip(archives, restored, strict=True)},
        "stored_mebibytes": sizes,
    }


def _median(usages: Sequence[Usage]) -> dict[str, float]:
    return {
        "seconds": round(median(each.seconds for each in usages), 2),
        "cpu_seconds": round(median(each.cpu for each in usages), 2),
        "peak_mebibytes": round(max(each.mebibytes for each in usages)),
    }


@contextmanager
def server(uri_file: Path | None) -> Iterator[str]:
    """The connection string."""
    if uri_file is not None:
        yield uri_file.read_text().strip()
        return
    cluster = choose()
    cluster.up()
    Installation(cluster).ensure_mongodb()
    with cluster.reach(AGENTS_NAMESPACE, "mongodb", mongodb.PORT) as (host, port):
        yield mongodb.uri(cluster, AGENTS_NAMESPACE, host, port)


def main() -> None:
    """Run it and print one JSON object for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=200, help="of checkpoints; 1024 for the whole measurement")
    parser.add_argument("--documents", type=int, default=200_000, help="small ones; 1000000 for the whole measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uri-file", type=Path)
    options = parser.parse_args()
    with server(options.uri_file) as uri, MongoClient(uri) as client, tempfile.TemporaryDirectory() as scratch:
        for kind, fill, size in (
            ("checkpoints", fill_checkpoints, options.mebibytes),
            ("small", fill_small, options.documents),
        ):
            database = f"bench_{kind}_{secrets.token_hex(3)}"
            folder = Path(scratch, kind)
            folder.mkdir()
            (folder / "uri").write_text(uri)
            try:
                documents = fill(client, uri, database, size)
                print(
                    json.dumps({"database": kind, "documents": documents, **compare(database, folder, options.rounds)})
                )
            finally:
                for name in (database, f"{database}_restored", f"{database}_one"):
                    client.drop_database(name)


if __name__ == "__main__":
    main()
