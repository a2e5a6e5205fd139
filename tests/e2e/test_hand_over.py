"""The examples as they stand: one agent hands bookings over to another."""

from langgraph_sdk.client import SyncLangGraphClient

from e2e.support.manifests import example
from e2e.support.space import Space, say


def test_a_booking_is_handed_over_and_the_peer_remembers_it(space: Space) -> None:
    space.apply(example("restaurant-voice-host"), example("support-triage"))
    space.ready("restaurant-voice-host", "support-triage")
    # The peer's threads are those of the agent that asks it, whoever talks to that one.
    asked = space.http("restaurant-voice-host", caller="support-triage")
    with space.client("support-triage") as front, asked as http, space.client("restaurant-voice-host") as other:
        peer = SyncLangGraphClient(http)
        thread = front.threads.create()["thread_id"]
        assert "billing team" in say(front, thread, "I have a question about my invoice.")
        assert peer.threads.search() == []

        assert "on which day" in say(front, thread, "I would like to book a table for four.").lower()
        assert "which name" in say(front, thread, "A table at 19:30, please.").lower()

        threads = peer.threads.search()
        assert len(threads) == 1
        assert threads[0]["thread_id"] != thread
        assert other.threads.search() == []
        kept = peer.threads.get_state(threads[0]["thread_id"])["values"]["messages"]
    assert [message["content"] for message in kept if message["type"] == "human"] == [
        "I would like to book a table for four.",
        "A table at 19:30, please.",
    ]
