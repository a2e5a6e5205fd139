"""How calls go, for metrics."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_runtime.errors import AgentError, CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def timed(tell: Callable[[str, float], None]) -> Iterator[None]:
    """Tells how the call inside went, and how many seconds it took.

    That is `success`, the kind of a failed call, the name of another error of ours, or `Other`.
    """
    start, result = time.monotonic(), "Other"
    try:
        yield
        result = "success"
    except CallError as error:
        result = error.kind.value
        raise
    except AgentError as error:
        result = type(error).__name__
        raise
    finally:
        tell(result, time.monotonic() - start)
