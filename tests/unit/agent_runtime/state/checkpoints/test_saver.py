"""What a checkpointer keeps in memory of the logs that it wrote."""

from __future__ import annotations

import pytest

from agent_runtime.state.checkpoints import saver as module
from agent_runtime.state.checkpoints.journal import Journal
from agent_runtime.state.checkpoints.saver import MongoSaver
from agent_runtime.state.connection import MongoConnection


class Sizes:
    """Says how large each log is, and counts who asks."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked = 0

    def __get__(self, _log: Journal, _kind: type) -> int:
        self.asked += 1
        return self.size


@pytest.fixture
def saver() -> MongoSaver:
    return MongoSaver(MongoConnection(lambda: "mongodb://localhost", "none"), "shop/helper")


def use(saver: MongoSaver, threads: int) -> None:
    for number in range(threads):
        saver.journal(f"t-{number}", "")


def test_many_small_logs_are_forgotten_without_looking_at_all_of_them_each_time(
    saver: MongoSaver, monkeypatch: pytest.MonkeyPatch
):
    sizes = Sizes(1)
    monkeypatch.setattr(Journal, "size", sizes)
    use(saver, 4000)
    kept = list(saver._journals)
    assert [key.thread for key in kept] == [f"t-{number}" for number in range(4000 - module._MOST_JOURNALS, 4000)]
    assert sizes.asked < 4000 * 10


def test_large_logs_are_forgotten_by_their_bytes(saver: MongoSaver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Journal, "size", Sizes(module._REMEMBERED // 10))
    use(saver, 100)
    assert len(saver._journals) <= 10 + module._LOOKED_AT
    assert next(reversed(saver._journals)).thread == "t-99"
