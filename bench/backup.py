"""Seconds, CPU and memory of a backup with its verification, against plain mongodump and mongorestore in the same run.

Two databases: checkpoints as LangGraph's saver for MongoDB writes them, and small documents. Each round dumps with the
plain tool, then with the Job; and restores the plain tool's file with the plain tool, the Job's file with it as well,
and that with the Job, which reads it twice. Needs MongoDB: that of the local cluster, or `--uri-file`. The server works
on the same machine, and takes most of it.
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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import bson
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.mongodb import MongoDBSaver
from pymongo import MongoClient

from bench.process import rss_mebibytes
from cluster import gobuild, installation

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


class Ways:
    """Dumps and restores of one database, by the plain tools and by Jobs, with files below `folder`."""

    def __init__(self, database: str, folder: Path) -> None:
        self.target = f"{database}_restored"
        self.plain_file, self._store = folder / "plain.gz", folder / "store"
        self._database, self._folder = database, folder
        self._config = folder / "tool.yaml"
        self._config.write_text(json.dumps({"uri": (folder / "uri").read_text()}))

    @property
    def stored(self) -> Path:
        """What the first Job has stored."""
        return self._store / "b0.archive.gz"

    def dump(self) -> Usage:
        """By mongodump."""
        return self._tool("mongodump", f"--db={self._database}", f"--archive={self.plain_file}")

    def backup(self, number: int) -> Usage:
        """By a Job, which reads back what it has stored."""
        server = {"uriFile": str(self._folder / "uri")}
        return self._job(f"b{number}", command="backup", source=server, scope={"databases": [self._database]})

    def load(self, archive: Path) -> Usage:
        """By mongorestore."""
        names = [f"--nsInclude={self._database}.*", f"--nsFrom={self._database}.*", f"--nsTo={self.target}.*"]
        return self._tool("mongorestore", f"--archive={archive}", *names)

    def restore(self, number: int) -> Usage:
        """By a Job, which reads it to its end before it begins, and compares all."""
        names = [{"source": self._database, "target": self.target}]
        server = {"uriFile": str(self._folder / "uri")}
        return self._job("", command="restore", id=f"r{number}", name="b0", target=server, renames=names)

    def _tool(self, name: str, *arguments: str) -> Usage:
        return measure([str(gobuild.program(name)), f"--config={self._config}", "--gzip", *arguments])

    def _job(self, backup: str, **more: Any) -> Usage:
        job = {"namespace": "bench", "policy": "bench", "storage": {"kind": "folder", "path": str(self._store)}, **more}
        return measure(
            [sys.executable, "-m", "apm_operator.backup"],
            APM_JOB=json.dumps(job),
            APM_BACKUP_NAME=backup,
            APM_MONGODUMP=str(gobuild.program("mongodump")),
            APM_MONGORESTORE=str(gobuild.program("mongorestore")),
            APM_TERMINATION_LOG=str(self._folder / "termination-log"),
        )


def compare(client: MongoClient[dict[str, Any]], database: str, folder: Path, rounds: int) -> dict[str, Any]:
    """All ways in turns, so that each meets the server in the same state."""
    ways, usages = Ways(database, folder), defaultdict[str, list[Usage]](list)
    for number in range(rounds):
        usages["mongodump"].append(ways.dump())
        usages["backup_with_verification"].append(ways.backup(number))
    for number in range(rounds):
        for name, restore in (
            ("mongorestore_of_plain", lambda: ways.load(ways.plain_file)),
            ("mongorestore_of_backup", lambda: ways.load(ways.stored)),
            ("restore_with_verification", lambda number=number: ways.restore(number)),
        ):
            usages[name].append(restore())
            client.drop_database(ways.target)
    seconds = {name: median(each.seconds for each in found) for name, found in usages.items()}
    return {
        **{name: _median(found) for name, found in usages.items()},
        "dump_ratio": round(seconds["backup_with_verification"] / seconds["mongodump"], 2),
        "restore_ratio": round(seconds["restore_with_verification"] / seconds["mongorestore_of_plain"], 2),
        "mongorestore_ratio": round(seconds["mongorestore_of_backup"] / seconds["mongorestore_of_plain"], 2),
        "stored_mebibytes": {
            "plain": round(ways.plain_file.stat().st_size / 2**20, 1),
            "backup": round(ways.stored.stat().st_size / 2**20, 1),
        },
    }


def _median(usages: Sequence[Usage]) -> dict[str, float]:
    return {
        "seconds": round(median(each.seconds for each in usages), 2),
        "cpu_seconds": round(median(each.cpu for each in usages), 2),
        "peak_mebibytes": round(max(each.mebibytes for each in usages)),
    }


def main() -> None:
    """Run it and print one JSON object for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=200, help="of checkpoints; 1024 for the whole measurement")
    parser.add_argument("--documents", type=int, default=200_000, help="small ones; 1000000 for the whole measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uri-file", type=Path)
    options = parser.parse_args()
    given = options.uri_file
    found = nullcontext(given.read_text().strip()) if given else installation.mongodb_uri()
    with found as uri, MongoClient(uri) as client, tempfile.TemporaryDirectory() as scratch:
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
                    json.dumps(
                        {"database": kind, "documents": documents, **compare(client, database, folder, options.rounds)}
                    )
                )
            finally:
                for name in (database, f"{database}_restored", f"{database}_one"):
                    client.drop_database(name)


if __name__ == "__main__":
    main()
