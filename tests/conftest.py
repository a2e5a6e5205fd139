"""What every test starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def logging_of_each_test() -> Iterator[None]:
    """A command that a test runs in this process sets up the logs of the whole process: no other test is to see it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
