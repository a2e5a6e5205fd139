"""Limits for code of one's own, by the seed's names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent_runtime import resilience
from agent_runtime.errors import ConfigError
from agent_runtime.resilience import RateLimitConfig, get_async_rate_limiter, get_rate_limiter, python
from agent_runtime.resilience.settings import RedisPlace, from_environment


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    python.configure(None)
    yield
    python.configure(None)


def test_the_example_of_the_seed():
    rate_limiter = get_rate_limiter()
    result = rate_limiter.check_account_limit(account_id="123")
    assert result.allowed
    for _ in range(20):
        result = rate_limiter.check_account_limit(account_id="123")
    assert not result.allowed
    assert 0 < result.retry_after <= 1
    assert result.window == "account-burst"
    assert rate_limiter.check_account_limit(account_id="other").allowed
    assert rate_limiter.check_agent_limit(agent_id="123").allowed
    assert rate_limiter.check_user_limit(user_id="123").allowed


def test_the_defaults_of_the_seed():
    states = get_rate_limiter().check_user_limit("anne").states
    assert [state.window.limit for state in states] == [10, 60, 1000, 10000]


async def test_asynchronous_code_counts_in_the_same_windows():
    config = RateLimitConfig(burst_size=2)
    limiter = get_async_rate_limiter(config)
    assert (await limiter.check_account_limit("a")).allowed
    assert get_rate_limiter(config).check_account_limit("a").allowed
    assert not (await limiter.check_account_limit("a")).allowed
    assert (await limiter.check_agent_limit("a")).allowed
    assert (await limiter.check_user_limit("a")).allowed


def test_it_counts_in_memory_while_redis_is_away():
    python.configure(RedisPlace("127.0.0.1", 9))
    limiter = get_rate_limiter(RateLimitConfig(burst_size=2))
    assert [limiter.check_account_limit("a").allowed for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({"REDIS_HOST": "valkey"}, ("valkey", 6379, None)),
        ({"REDIS_HOST": "valkey", "REDIS_PORT": "6380", "REDIS_PASSWORD": "p"}, ("valkey", 6380, "p")),
    ],
)
def test_the_environment_names_redis(environment: dict[str, str], place: tuple[str, int, str | None] | None):
    found = from_environment(environment)
    assert (found and (found.host, found.port, found.password and found.password())) == place


@pytest.mark.parametrize("port", ["", "many", "0", "65536", "-1"])
def test_a_port_that_is_none_is_told(port: str):
    with pytest.raises(ConfigError, match="REDIS_PORT"):
        from_environment({"REDIS_HOST": "valkey", "REDIS_PORT": port})


def test_all_names_are_there():
    assert all(getattr(resilience, name) is not None for name in resilience.__all__)
    with pytest.raises(AttributeError):
        _ = resilience.nothing
