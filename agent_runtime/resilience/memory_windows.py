"""Windows of one process, counted by the library `limits`."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from agent_runtime.resilience.redis_windows import TOKEN_SECONDS
from agent_runtime.resilience.windows import Quota, RateLimitResult, Usage, Window, judge

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryWindows:
    """Counts in the memory of the process; any of its threads may ask."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._tokens: dict[str, float] = {}
        self._lock = Lock()

    def take(self, quotas: Sequence[Quota], token: str = "") -> RateLimitResult:
        """Counts a request if all windows have room; one whose `token` was counted before is let through."""
        windows = [(quota, window, _item(window)) for quota in quotas for window in quota.windows]
        with self._lock:
            known = bool(token) and self._known(token)
            taken = known or all(self._limiter.test(item, quota.key) for quota, _, item in windows)
            if taken and not known:
                for quota, _, item in windows:
                    self._limiter.hit(item, quota.key)
                if token:
                    self._tokens[token] = time.monotonic() + TOKEN_SECONDS
            usages = [self._usage(item, quota.key) for quota, _, item in windows]
        return judge(quotas, usages, taken=taken)

    def forget(self, token: str) -> None:
        """Counts the next request with this token."""
        with self._lock:
            self._tokens.pop(token, None)

    def _usage(self, item: RateLimitItem, key: str) -> Usage:
        reset, remaining = self._limiter.get_window_stats(item, key)
        left = max(0.0, reset - time.time())
        return Usage(item.amount - remaining, left, 0.0 if remaining > 0 else left)

    def _known(self, token: str) -> bool:
        now = time.monotonic()
        # In the order in which they end.
        while self._tokens and (oldest := next(iter(self._tokens))) and self._tokens[oldest] < now:
            del self._tokens[oldest]
        return token in self._tokens


def _item(window: Window) -> RateLimitItem:
    return RateLimitItemPerSecond(window.limit, window.seconds, window.name)
