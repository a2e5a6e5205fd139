"""docs/recovery.md, run as it stands: what was lost comes back, and nothing else changes."""

import secrets
from collections.abc import Iterator

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from cluster import mongodb
from cluster.installation import AGENTS_NAMESPACE
from e2e.support.backups import backup, policy, until_phase
from e2e.support.manifests import agent
from e2e.support.page import Page
from e2e.support.space import Space, say

_REMEMBERS = 'You first said: {{ messages.filter(m, m.role == "user")[0].content }}'


@pytest.fixture
def uri(space: Space) -> Iterator[str]:
    """MongoDB, as the machine that runs the tests reaches it."""
    cluster = space.cluster.cluster
    with cluster.reach(AGENTS_NAMESPACE, "mongodb", mongodb.PORT) as (host, port):
        yield mongodb.uri(cluster, AGENTS_NAMESPACE, host, port)


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    """A database of the test's own."""
    with MongoClient(uri) as client:
        name = f"drill_{secrets.token_hex(4)}"
        yield client[name]
        for each in client.list_database_names():
            if each.startswith(name):
                client.drop_database(each)


@pytest.fixture
def page(database: Database) -> Page:
    """The page, with the database of the test."""
    return Page("recovery.md", (("apm_state", database.name),))


@pytest.fixture
def thread(space: Space, database: Database) -> str:
    """A conversation of the agent `support-triage`, and the verified backup `monday` of it."""
    state = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database.name}}
    space.apply(agent("support-triage", reply=_REMEMBERS, state=state), policy("nightly", database.name))
    space.ready("support-triage")
    with space.client("support-triage") as client:
        thread = str(client.threads.create()["thread_id"])
        assert say(client, thread, "My name is Ada.") == "You first said: My name is Ada."
    space.apply(backup("monday", "nightly"))
    assert until_phase(space, "backup", "monday", "Completed")["verified"] == "True"
    return thread


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


def test_a_wrong_deploy_is_undone(space: Space, database: Database, page: Page, thread: str) -> None:
    page.run("A wrong deploy at 11:00", space, last=2)
    for name in database.list_collection_names():
        database[name].update_many({}, {"$set": {"nonsense": True}})
    page.run("A wrong deploy at 11:00", space, first=2)
    assert not any(database[name].count_documents({"nonsense": True}) for name in database.list_collection_names())
    assert _answer(space, thread) == "You first said: My name is Ada."
