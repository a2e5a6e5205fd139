"""Trying again, and going on with less, from Python."""

from __future__ import annotations

import time
from typing import Any

import pytest
from langgraph.errors import GraphInterrupt

from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.resilience.categories import ErrorCategory
from agent_runtime.resilience.degradation import graceful_degradation
from agent_runtime.resilience.retry import RetryConfig, retry_with_backoff

QUICK: dict[str, Any] = {"initial_delay": 0.001, "jitter": False}
DOWN = CallError(CallErrorKind.CONNECTION, "down")
DENIED = CallError(CallErrorKind.AUTHENTICATION, "denied")


class Service:
    """Fails with each of the errors, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "here you are"

    async def ask_async(self) -> str:
        return self.ask()


def test_what_may_be_over_is_tried_again():
    service = Service(DOWN, TimeoutError())
    assert retry_with_backoff(**QUICK)(service.ask)() == "here you are"
    assert service.asked == 3


async def test_so_it_is_in_asynchronous_code():
    service = Service(DOWN, TimeoutError())
    assert await retry_with_backoff(RetryConfig(), **QUICK)(service.ask_async)() == "here you are"


def test_it_decorates_without_arguments():
    assert retry_with_backoff(Service().ask)() == "here you are"


@pytest.mark.parametrize("error", [DENIED, CallError(CallErrorKind.REFUSED, ""), ValueError("a bug")])
def test_what_fails_again_is_not_tried_again(error: Exception):
    service = Service(error)
    with pytest.raises(type(error)):
        retry_with_backoff(**QUICK)(service.ask)()
    assert service.asked == 1


def test_it_gives_up():
    service = Service(*[DOWN] * 9)
    with pytest.raises(CallError):
        retry_with_backoff(max_attempts=4, **QUICK)(service.ask)()
    assert service.asked == 4


def test_pauses_grow_up_to_the_longest():
    service = Service(*[DOWN] * 4)
    config = RetryConfig(max_attempts=5, initial_delay=0.02, exponential_base=2, max_delay=0.05, jitter=False)
    began = time.monotonic()
    retry_with_backoff(config)(service.ask)()
    assert 0.16 <= time.monotonic() - began < 1  # 0.02 + 0.04 + 0.05 + 0.05


def test_a_pause_that_is_asked_for_is_kept():
    service = Service(CallError(CallErrorKind.RATE_LIMIT, "later", retry_after=0.2))
    began = time.monotonic()
    retry_with_backoff(**QUICK)(service.ask)()
    assert time.monotonic() - began >= 0.2


def test_too_long_a_pause_ends_it():
    service = Service(CallError(CallErrorKind.RATE_LIMIT, "tomorrow", retry_after=3600))
    with pytest.raises(CallError, match="tomorrow"):
        retry_with_backoff(**QUICK)(service.ask)()
    assert service.asked == 1


def test_exceptions_can_be_named():
    service = Service(ValueError(), DOWN)
    assert retry_with_backoff(retry_on=[Exception], **QUICK)(service.ask)() == "here you are"
    with pytest.raises(CallError):
        retry_with_backoff(retry_on=[ValueError], **QUICK)(Service(DOWN).ask)()
    with pytest.raises(CallError, match="denied"):
        retry_with_backoff(retry_on=[Exception], **QUICK)(Service(DENIED).ask)()


def test_categories_can_be_named():
    only = retry_with_backoff(retry_on=[ErrorCategory.TIMEOUT], **QUICK)
    assert only(Service(TimeoutError()).ask)() == "here you are"
    with pytest.raises(CallError):
        only(Service(DOWN).ask)()


def test_going_on_with_a_value():
    assert graceful_degradation(fallback_value={"agent_name": "support"})(Service(DENIED).ask)() == {
        "agent_name": "support"
    }
    assert graceful_degradation(fallback_value="other")(Service().ask)() == "here you are"


async def test_going_on_with_a_function():
    async def other() -> str:
        return "something else"

    assert await graceful_degradation(fallback_function=other)(Service(DOWN).ask_async)() == "something else"
    assert graceful_degradation(fallback_function=lambda: "less")(Service(DOWN).ask)() == "less"


async def test_both_together_as_in_the_seed():
    service = Service(*[DOWN] * 9)

    @graceful_degradation(fallback_value="support_triage_agent")
    @retry_with_backoff(retry_on=[Exception], **QUICK)
    async def route() -> str:
        return service.ask()

    assert await route() == "support_triage_agent"
    assert service.asked == 3


@pytest.mark.parametrize(
    "decorate",
    [graceful_degradation("x"), retry_with_backoff(retry_on=[Exception], **QUICK)],
    ids=["degradation", "retry"],
)
def test_an_interrupt_of_the_graph_goes_through(decorate: Any):
    service = Service(GraphInterrupt())
    with pytest.raises(GraphInterrupt):
        decorate(service.ask)()
    assert service.asked == 1
