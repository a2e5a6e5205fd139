"""What is tried again is counted, and told as before."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from agent_runtime.resilience import retries


@pytest.fixture
def hooks():
    before = get_on_retry_hooks()
    yield
    set_on_retry_hooks(before)


@pytest.mark.usefixtures("hooks")
def test_what_the_log_tells_of_retries_is_left_to_the_log():
    def told(details: RetryDetails) -> None: ...

    set_on_retry_hooks([told])
    for _ in range(2):
        retries.install(CollectorRegistry())
    assert get_on_retry_hooks() == (told, retries._count)
