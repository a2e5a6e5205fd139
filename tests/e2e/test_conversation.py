"""A conversation goes on whatever ends in the middle of it: the agent's pods, or MongoDB for a while."""

from collections.abc import Iterator

import pytest
from pymongo import MongoClient

from cluster import mongodb
from cluster.installation import AGENTS_NAMESPACE, Installation
from e2e.support.manifests import AGENT_LABEL, agent
from e2e.support.manifests import mongodb as in_mongodb
from e2e.support.space import Space, say

_REMEMBERS = 'You first said: {{ messages.filter(m, m.role == "user")[0].content }}'


@pytest.fixture
def restored(cluster: Installation) -> Iterator[None]:
    """Leaves MongoDB running whatever the test did."""
    yield
    _scale_mongodb(cluster, 1)


def test_a_conversation_survives_the_end_of_all_pods(space: Space) -> None:
    space.apply(agent("host", reply=_REMEMBERS, replicas=2, state=in_mongodb()))
    space.ready("host")
    before = {pod["metadata"]["uid"] for pod in space.pods("host")}
    with space.client("host") as client:
        thread = client.threads.create()["thread_id"]
        assert say(client, thread, "My name is Ada.") == "You first said: My name is Ada."

    space.kubectl("delete", "pod", f"-l={AGENT_LABEL}=host", "--wait=true", "--timeout=90s")
    space.ready("host")

    assert before.isdisjoint(pod["metadata"]["uid"] for pod in space.pods("host"))
    with space.client("host") as client:
        assert say(client, thread, "Who am I?") == "You first said: My name is Ada."
        history = client.threads.get_state(thread)["values"]["messages"]
    assert [message["type"] for message in history] == ["human", "ai", "human", "ai"]
    assert _kept_in_mongodb(space, thread)


@pytest.mark.usefixtures("restored")
def test_a_conversation_survives_an_outage_of_mongodb(space: Space) -> None:
    space.apply(agent("host", reply=_REMEMBERS, state=in_mongodb()))
    space.ready("host")
    (before,) = space.pods("host")
    with space.client("host") as client:
        thread = client.threads.create()["thread_id"]
        assert say(client, thread, "My name is Ada.") == "You first said: My name is Ada."

        _scale_mongodb(space.cluster, 0)
        assert "mongodb" in space.until_reason("host", "StateUnavailable")["message"]
        _scale_mongodb(space.cluster, 1)
        space.ready("host")

        assert say(client, thread, "Who am I?") == "You first said: My name is Ada."
    (after,) = space.pods("host")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def _scale_mongodb(cluster: Installation, replicas: int) -> None:
    within = f"--namespace={AGENTS_NAMESPACE}"
    cluster.kubectl("scale", "deployment/mongodb", within, f"--replicas={replicas}")
    cluster.kubectl("rollout", "status", "deployment/mongodb", within, "--timeout=120s")


def _kept_in_mongodb(space: Space, thread: str) -> bool:
    """Whether a collection other than the list of threads holds checkpoints of the thread."""
    with (
        mongodb.reached(space.cluster.cluster, AGENTS_NAMESPACE) as uri,
        MongoClient(uri) as client,
    ):
        database = client["apm"]
        checkpoints = [name for name in database.list_collection_names() if name.startswith("checkpoint")]
        return any(database[name].find_one({"thread": {"$regex": thread}}) for name in checkpoints)
