"""What is told of windows, and how the memory of a process counts them."""

from __future__ import annotations

import time

import pytest

from agent_runtime.resilience.memory_windows import MemoryWindows
from agent_runtime.resilience.windows import Quota, Usage, Window, judge

MINUTE = Window("minute", 60, 60)
HOUR = Window("hour", 100, 3600)
ACCOUNT = Quota("account", "a", (MINUTE, HOUR))


def test_the_fullest_window_is_the_one_that_is_told():
    result = judge([ACCOUNT], [Usage(30, reset=12.2), Usage(90, reset=100.5)], taken=True)
    assert (result.allowed, result.remaining, result.retry_after) == (True, 10, 0.0)
    assert result.headers == {
        "RateLimit-Policy": '"account-minute";q=60;w=60, "account-hour";q=100;w=3600',
        "RateLimit": '"account-hour";r=10;t=101',
    }


def test_a_refused_request_waits_for_the_last_of_the_full_windows():
    result = judge([ACCOUNT], [Usage(60, 3.0, wait=3.0), Usage(100, 70.0, wait=70.0)], taken=False)
    assert (result.allowed, result.remaining, result.retry_after, result.limit) == (False, 0, 70.0, 100)
    assert result.headers["RateLimit"] == '"account-hour";r=0;t=70'


def test_without_limits_nothing_is_told():
    result = judge([], [], taken=True)
    assert result.allowed
    assert result.headers == {}


def test_a_quota_is_kept_under_no_name():
    key = Quota.of("user", "", "somebody@example.org", ()).key
    assert "somebody" not in key
    assert key != Quota.of("account", "", "somebody@example.org", ()).key
    assert key != Quota.of("user", "other", "somebody@example.org", ()).key


def quota(key: str, **limits: int) -> Quota:
    lengths = {"second": 1, "minute": 60}
    return Quota("account", key, tuple(Window(name, limit, lengths[name]) for name, limit in limits.items()))


def test_memory_lets_as_many_pass_as_are_allowed():
    windows, mine, other = MemoryWindows(), quota("mine", minute=3), quota("other", minute=3)
    results = [windows.take([mine]) for _ in range(5)]
    assert [result.allowed for result in results] == [True, True, True, False, False]
    assert [result.remaining for result in results] == [2, 1, 0, 0, 0]
    assert 59 < results[-1].retry_after <= 60
    assert windows.take([other]).allowed


def test_a_refused_request_uses_up_no_other_window():
    windows, tight, wide = MemoryWindows(), quota("tight", minute=1), quota("wide", minute=3)
    assert windows.take([tight, wide]).allowed
    assert [windows.take([tight, wide]).allowed for _ in range(3)] == [False, False, False]
    assert [windows.take([wide]).allowed for _ in range(3)] == [True, True, False]


def test_a_request_with_a_known_token_is_counted_once():
    windows, mine = MemoryWindows(), quota("mine", minute=2)
    assert [windows.take([mine], "first").allowed for _ in range(5)] == [True] * 5
    assert windows.take([mine], "second").allowed
    assert not windows.take([mine], "third").allowed
    assert windows.take([mine], "first").allowed, "it was counted, and is let through although all is used up"


def test_a_token_is_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch):
    windows, mine = MemoryWindows(), quota("mine", minute=1)
    assert windows.take([mine], "first").allowed
    later = time.monotonic() + 4000
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert not windows.take([mine], "first").allowed
    assert windows._tokens == {}
