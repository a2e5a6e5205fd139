"""Limits of an agent: which windows count for whom, and what happens without Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from agent_runtime.errors import UnavailableError
from agent_runtime.resilience.limiter import RateLimits, refusal
from agent_runtime.resilience.memory_windows import MemoryWindows
from agent_runtime.resilience.metrics import ResilienceMetrics
from agent_runtime.resilience.subject import Subject
from agent_runtime.spec.rate_limits import RateLimitsSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_runtime.resilience.windows import Quota, RateLimitResult

ANNE, BERT = Subject("apiKey|anne"), Subject("apiKey|bert")


class Away:
    async def take(self, _quotas: Sequence[Quota], _token: str = "") -> RateLimitResult:
        raise UnavailableError("Redis can't be used")


def limits(shared: Any = None, **spec: Any) -> tuple[RateLimits, CollectorRegistry]:
    registry = CollectorRegistry()
    metrics = ResilienceMetrics(registry)
    return RateLimits(RateLimitsSpec.model_validate(spec), MemoryWindows(), shared, metrics), registry


async def allowed(it: RateLimits, count: int, subject: Subject = ANNE, target: str = "") -> int:
    return sum([(await it.check(subject, target)).allowed for _ in range(count)])


async def test_the_defaults():
    it, _ = limits()
    result = await it.check(Subject("jwt|anne", "person"))
    assert {(state.name, state.window.limit, state.window.seconds) for state in result.states} == {
        (f"{level}-{name}", factor * limit, seconds)
        for level, factor in (("account", 1), ("user", 1), ("agent", 10))
        for name, limit, seconds in [("burst", 10, 1), ("minute", 60, 60), ("hour", 1000, 3600), ("day", 10000, 86400)]
    }


async def test_one_caller_leaves_room_for_others():
    it, _ = limits()
    assert await allowed(it, 20, ANNE) == 10
    assert await allowed(it, 20, BERT) == 10


async def test_accounts_have_limits_of_their_own_and_the_agent_has_one_for_all():
    it, registry = limits(requestsPerMinute=3, perAgent={"requestsPerMinute": 5})
    assert await allowed(it, 4, ANNE) == 3
    assert await allowed(it, 4, BERT) == 2, "what the agent takes is used up"
    refused = {"place": "acceptance", "result": "refused"}
    assert registry.get_sample_value("apm_agent_rate_limit_checks_total", {**refused, "window": "account-minute"}) == 1
    assert registry.get_sample_value("apm_agent_rate_limit_checks_total", {**refused, "window": "agent-minute"}) == 2


async def test_persons_of_one_account_have_limits_of_their_own():
    it, _ = limits(perUser={"burst": 1})
    assert await allowed(it, 3, Subject("jwt|shop", "anne")) == 1
    assert await allowed(it, 3, Subject("jwt|shop", "bert")) == 1


async def test_each_agent_that_is_asked_is_counted_apart():
    it, _ = limits(burst=2)
    assert [await allowed(it, 3, target=target) for target in ("", "kitchen", "cellar")] == [2, 2, 2]


async def test_a_refusal_says_what_is_allowed():
    it, _ = limits(requestsPerHour=1)
    assert await allowed(it, 1) == 1
    result = await it.check(ANNE)
    error = refusal(result, "no more now")
    assert str(error) == "no more now: 1 requests per hour and account are allowed; try again later"
    assert 3590 < error.retry_after <= 3600
    assert error.headers == result.headers


async def test_without_redis_each_pod_counts_by_itself():
    it, registry = limits(Away(), requestsPerMinute=2)
    assert await allowed(it, 3) == 2
    name = "apm_agent_rate_limit_checks_without_redis_total"
    assert registry.get_sample_value(name, {"result": "allowed"}) == 2
    assert registry.get_sample_value(name, {"result": "refused"}) == 1


async def test_without_redis_a_closed_agent_refuses():
    it, _ = limits(Away(), onUnavailable="Refuse")
    with pytest.raises(UnavailableError):
        await it.check(ANNE)
