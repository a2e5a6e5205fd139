"""docs/recovery.md, run as it stands: what was lost comes back, and nothing else changes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from cluster import mongodb, s3server
from cluster.installation import AGENTS_NAMESPACE, Installation
from cluster.network import ADDRESS
from cluster.s3server import S3Server
from e2e.support.backups import backup, own_database, policy, until_phase
from e2e.support.manifests import agent, secret
from e2e.support.page import Page
from e2e.support.space import Space, say

_REMEMBERS = 'You first said: {{ messages.filter(m, m.role == "user")[0].content }}'


@pytest.fixture
def uri(space: Space) -> Iterator[str]:
    """MongoDB, as the machine that runs the tests reaches it."""
    with mongodb.reached(space.cluster.cluster, AGENTS_NAMESPACE) as uri:
        yield uri


@pytest.fixture
def database(space: Space) -> Iterator[Database]:
    """A database of the test's own."""
    with own_database(space) as database:
        yield database


@pytest.fixture
def page(database: Database) -> Page:
    """The page, with the database of the test."""
    return Page("recovery.md", (("apm_state", database.name),))


@pytest.fixture
def thread(space: Space, database: Database) -> str:
    """A conversation of the agent `support-triage`, and the verified backup `monday` of it."""
    space.apply(_agent(database), policy("nightly", database.name))
    return _conversation(space)


def _conversation(space: Space) -> str:
    space.ready("support-triage")
    with space.client("support-triage") as client:
        thread = str(client.threads.create()["thread_id"])
        assert say(client, thread, "My name is Ada.") == "You first said: My name is Ada."
    space.apply(backup("monday", "nightly"))
    assert until_phase(space, "backup", "monday", "Completed")["verified"] == "True"
    return thread


def _backed_up(space: Space, database: Database, server: S3Server) -> str:
    s3 = {
        "endpoint": server.url,
        "bucket": s3server.BUCKET,
        "prefix": "production",
        "credentialsSecretRef": {"name": "apm-backup-s3"},
    }
    space.apply(_credentials(server), _agent(database))
    space.apply(policy("nightly", database.name, storage={"s3": s3}, network=_egress(server)))
    return _conversation(space)


def _agent(database: Database) -> dict[str, Any]:
    state = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database.name}}
    return agent("support-triage", reply=_REMEMBERS, state=state)


def _credentials(server: S3Server) -> dict[str, Any]:
    return secret(
        "apm-backup-s3", **{name: (server.folder / name).read_text() for name in ("access-key-id", "secret-access-key")}
    )


def _egress(server: S3Server) -> dict[str, Any]:
    return {"egressTo": [{"cidr": f"{server.host}/32", "ports": [server.port]}]}


def _answer(space: Space, thread: str) -> str:
    with space.client("support-triage") as client:
        return say(client, thread, "Who am I?")


def test_a_lost_document_comes_back_and_nothing_else_changes(
    space: Space, database: Database, page: Page, uri: str, thread: str
) -> None:
    with space.client("support-triage") as client:
        later = str(client.threads.create()["thread_id"])
        say(client, later, "My name is Grace.")
    for name in database.list_collection_names():
        database[name].delete_many({"$or": [{"_id": thread}, {"thread_id": thread}]})
    page.run("A document was lost", space, MONGODB_URI=uri, THREAD=thread)
    assert _answer(space, thread) == "You first said: My name is Ada."
    assert _answer(space, later) == "You first said: My name is Grace."


def test_a_lost_database_comes_back(space: Space, database: Database, page: Page, thread: str) -> None:
    before = {name: database[name].count_documents({}) for name in database.list_collection_names()}
    database.client.drop_database(database.name)
    database["nonsense"].insert_one({"a": 1})
    page.run("A database was lost", space)
    assert {name: database[name].count_documents({}) for name in database.list_collection_names()} == before
    assert _answer(space, thread) == "You first said: My name is Ada."


def test_a_lost_cluster_comes_back_from_its_bucket(
    space: Space, cluster: Installation, database: Database, tmp_path: Path
) -> None:
    """The namespace is deleted with all that is in it; a second cluster would be too much for the machine."""
    with s3server.running(tmp_path / "s3", host=ADDRESS) as server:
        thread = _backed_up(space, database, server)
        space.remove()
        cluster.kubectl("wait", "--for=delete", f"namespace/{space.name}", "--timeout=120s")
        database.client.drop_database(database.name)
        space.create()
        words = {
            "valeo-neuroerp/nightly": f"{space.name}/nightly",
            "https://s3.example.com": server.url,
            "{egressTo: [{cidr: 192.0.2.0/24, ports: [443]}]}": json.dumps(_egress(server)),
        }
        space.apply(_credentials(server))
        Page("recovery.md", tuple(words.items())).run("The cluster was lost", space)
    space.apply(_agent(database))
    space.ready("support-triage")
    assert _answer(space, thread) == "You first said: My name is Ada."


def test_a_wrong_deploy_is_undone(space: Space, database: Database, page: Page, thread: str) -> None:
    page.run("A wrong deploy at 11:00", space, last=2)
    for name in database.list_collection_names():
        database[name].update_many({}, {"$set": {"nonsense": True}})
    page.run("A wrong deploy at 11:00", space, first=2)
    assert not any(database[name].count_documents({"nonsense": True}) for name in database.list_collection_names())
    assert _answer(space, thread) == "You first said: My name is Ada."
