"""Backups for tests of Restores, and a Restore that ends itself by SIGKILL at a given point."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from isal import isal_zlib
from pymongo import MongoClient

from apm_operator.backup import dump, layout, pipeline, restore
from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.compare import normal_index
from apm_operator.backup.job import FolderStorage, Mongo, RestoreJob, Scope
from apm_operator.backup.manifest import Manifest
from apm_operator.backup.mongo import list_indexes
from apm_operator.backup.mongodump import Options
from apm_operator.backup.report import Tell
from apm_operator.backup.scope import RESERVED
from apm_operator.backup.storage.folder import Folder
from apm_operator.backup.verify import verify
from cluster import gobuild
from fakes import backups

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_REPOSITORY = Path(__file__).resolve().parents[2]
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class Place:
    """A folder with backups, and a MongoDB."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self.storage = Folder(folder / "store")
        self.mongo = self.server(uri)

    def server(self, uri: str) -> Mongo:
        file = self.folder / f"uri-{hashlib.sha256(uri.encode()).hexdigest()[:8]}"
        file.write_text(uri)
        return Mongo(uri_file=str(file))

    def backup(self, name: str, *databases: str) -> Manifest:
        scope, started = Scope(databases=databases), datetime.now(UTC)
        runs = dump.plan(self.mongo, scope, oplog=False, read_preference="primary")
        program = str(gobuild.program("mongodump"))
        made = dump.Dump(runs, scope, Options(self.mongo, "primary", program=program))
        data = layout.data_key(name, encrypted=False)
        sink = self.storage.create(data)
        written = pipeline.write(made.chunks(), sink)
        sink.finish()
        self.storage.publish(data)
        assert made.prelude is not None
        manifest = Manifest(
            name=name,
            namespace="shop",
            policy="nightly",
            started=started,
            finished=datetime.now(UTC),
            server_version=made.prelude.server_version,
            tool_version=made.prelude.tool_version,
            oplog=False,
            data=data,
            size=written.size,
            sha256=written.sha256,
            archive_size=made.size,
            scope=scope,
            namespaces=made.namespaces,
        )
        self.storage.put(layout.manifest_key(name), manifest.to_json().encode())
        return manifest

    def keep(self, name: str, archive: bytes) -> Manifest:
        """A backup of an archive that was made by hand."""
        data = isal_zlib.compress(archive, wbits=31)
        facts = {"namespaces": verify(io.BytesIO(data)).namespaces, "archive_size": len(archive)}
        manifest = backups.manifest(name, data=data).model_copy(update=facts)
        backups.store(self.storage, manifest, data=data)
        return manifest

    def job(self, **more: Any) -> RestoreJob:
        store = FolderStorage(path=str(self.folder / "store"))
        return RestoreJob(
            **{"namespace": "shop", "policy": "r", "storage": store, "id": "r-1", "target": self.mongo, **more}
        )

    def means(self, tell: Tell = restore.silent) -> restore.Means:
        return restore.Means(storage=self.storage, tell=tell, program=str(gobuild.program("mongorestore")), patience=3)

    def killed(self, job: RestoreJob, phase: str, number: int) -> int:
        """Exit code of a Restore in a process of its own, which ends at the `number`th word of progress of a phase."""
        argv = [sys.executable, __file__, job.to_json(), str(self.folder), phase, str(number)]
        path = f"{_REPOSITORY / 'operator'}:{_REPOSITORY / 'tests'}"
        return subprocess.run(argv, env={**os.environ, "PYTHONPATH": path}, check=False, timeout=120).returncode


@contextmanager
def filled(client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """Name of a database with some of everything; it is dropped at the end, with all that begin so."""
    name = f"restore_{secrets.token_hex(4)}"
    orders = client[name]["orders"]
    orders.insert_many({"_id": number, "number": number, "raw": secrets.token_bytes(1000)} for number in range(3000))
    orders.create_index("number", unique=True)
    client[name]["sessions"].insert_many(
        {"_id": number, "at": LONG_AGO, "open": number % 2 == 0} for number in range(50)
    )
    client[name]["sessions"].create_index("open", partialFilterExpression={"open": True})
    client[name]["customers"].insert_many({"_id": f"c{number}"} for number in range(10))
    client[name].create_collection("empty")
    yield name
    for each in client.list_database_names():
        if each.startswith(name):
            client.drop_database(each)


def content(client: MongoClient[dict[str, Any]], database: str) -> dict[str, tuple[str, list[Any]]]:
    """Digest of each collection's documents, and its indexes."""
    found = {}
    for name in client[database].list_collection_names():
        documents = client[database].get_collection(name, codec_options=_RAW).find({}).sort("_id", 1)
        digest = hashlib.sha256(b"".join(each.raw for each in documents)).hexdigest()  # type: ignore[attr-defined]
        found[name] = (digest, sorted((normal_index(it) for it in list_indexes(client, Key(database, name))), key=str))
    return found


def leftovers(client: MongoClient[dict[str, Any]], database: str) -> list[str]:
    return [name for name in client[database].list_collection_names() if name.startswith(RESERVED)]


def _main(text: str, folder: str, phase: str, number: str) -> None:
    left = int(number)

    def tell(current: str, _documents: int, _bytes: int, _percent: int | None) -> None:
        nonlocal left
        if current == phase:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    job = RestoreJob.model_validate_json(text)
    place = Place.__new__(Place)
    place.storage = Folder(Path(folder) / "store")
    restore.restore(job, place.means(tell))


if __name__ == "__main__":
    _main(*sys.argv[1:])
