"""Events that can't be read; tests/integration tries the rest on MongoDB."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.errors import UnreadableError
from agent_runtime.events.mongo import MongoStorage
from agent_runtime.events.mongo_waits import MongoWaits
from agent_runtime.events.records import SealedLetter
from agent_runtime.state.records import now

NO_CONNECTION: Any = None


@pytest.mark.parametrize("event", ["{", "[]", None])
def test_a_dead_letter_that_is_no_json_is_a_sealed_one(event):
    told = {"consumer": "sink/x", "error": "e", "attempts": 1, "died_at": now(), "owner": "", "accepted_at": now()}
    letter = MongoStorage(NO_CONNECTION, "tests/agent", 1.0)._letter({"_id": "tests/agent/l", "event": event, **told})
    assert isinstance(letter, SealedLetter)
    assert (letter.id, "changed from outside" in letter.unreadable) == ("l", True)


@pytest.mark.parametrize("event", ["{", "[]", None])
def test_a_wait_that_is_no_json_can_not_be_read(event):
    with pytest.raises(UnreadableError, match="changed from outside"):
        MongoWaits(NO_CONNECTION, "tests/agent", 1.0)._read({"event": event}, "key")
