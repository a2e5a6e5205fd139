from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agent_runtime.state.records import now
from agent_runtime.workflow.expiry import expired, expiry_of
from agent_runtime.workflow.nodes import agent

if TYPE_CHECKING:
    import pytest


def test_a_question_that_was_over_long_ago_is_looked_after_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    due: list[timedelta] = []
    begin = now()

    def interrupted(value: dict[str, str]) -> dict[str, str] | str:
        due.append((expiry_of(value) or begin) - begin)
        return expired(value) if len(due) < 20 else "yes"

    monkeypatch.setattr(agent, "interrupt", interrupted)
    assert agent._asked({"type": "approval", "expires_at": "0001-01-02T00:00:00Z"}) == "yes"
    assert timedelta(seconds=9) < due[0] < timedelta(seconds=15)
    assert due[5] > timedelta(minutes=5)
    assert due[-1] > timedelta(days=5)
