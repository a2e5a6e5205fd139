from __future__ import annotations

import pytest

from agent_runtime.runs import event_logs
from agent_runtime.runs.event_logs import EventLogs
from agent_runtime.runs.events import EventLog


def _log(size: int = 1) -> EventLog:
    log = EventLog()
    log.append("values", b"x" * size)
    return log


@pytest.mark.parametrize(("bound", "most"), [("_KEPT", 2), ("_BYTES_KEPT", 20)])
def test_of_runs_that_ended_the_last_ones_are_kept(monkeypatch, bound, most):
    monkeypatch.setattr(event_logs, bound, most)
    logs = EventLogs()
    for name in "abcd":
        logs.add(name, _log(10))
    for name in "bca":
        logs.end(name)
    assert [name for name in "abcd" if logs.get(name)] == ["a", "c", "d"]


def test_a_run_that_is_begun_anew_does_not_count_as_ended(monkeypatch):
    monkeypatch.setattr(event_logs, "_KEPT", 1)
    logs, again = EventLogs(), _log()
    logs.add("a", _log())
    logs.end("a")
    logs.add("a", again)
    logs.add("b", _log())
    logs.end("b")
    assert logs.get("a") is again
    assert logs.get("b") is not None


def test_an_attempt_that_ends_after_the_next_one_is_counted_once(monkeypatch):
    monkeypatch.setattr(event_logs, "_BYTES_KEPT", 20)
    logs = EventLogs()
    logs.add("a", _log(10))
    logs.add("a", _log(10))
    logs.end("a")
    logs.end("a")
    logs.add("b", _log(10))
    logs.end("b")
    assert logs.get("a") is not None
    logs.add("c", _log(20))
    logs.end("c")
    logs.end("a")
    assert [name for name in "abc" if logs.get(name)] == ["c"]
