"""How many requests fit into moving windows of time, and what is told to who asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Level = Literal["account", "agent", "user"]


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` requests within any `seconds`."""

    name: str
    limit: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What one account, agent or user may do: all windows have to have room.

    Attributes:
        key: under which it is counted; holds no name of anybody.
    """

    level: Level
    key: str
    windows: tuple[Window, ...]

    @classmethod
    def of(cls, level: Level, place: str, who: str, windows: tuple[Window, ...]) -> Quota:
        """The quota of `who` at a place; a place has quotas of its own."""
        return cls(level, sha256(f"{level}|{place}|{who}".encode()).hexdigest()[:32], windows)


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a window is.

    Attributes:
        used: requests in it.
        reset: seconds until its oldest request leaves it; 0 if there is none.
        wait: seconds until another request has room; 0 if one has.
    """

    used: int
    reset: float = 0.0
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class WindowState:
    """A window of a quota, and how full it is after the request."""

    level: Level
    window: Window
    usage: Usage

    @property
    def remaining(self) -> int:
        """How many more requests have room now."""
        return max(0, self.window.limit - self.usage.used)

    @property
    def name(self) -> str:
        """Its name in headers and metrics."""
        return f"{self.level}-{self.window.name}"


@dataclass(frozen=True, slots=True)
class RateLimitResult:
    """Whether a request is allowed, and what is left.

    Attributes:
        remaining: requests that the fullest window still has room for.
        retry_after: seconds after which a refused request is allowed; 0 if it is allowed.
        limit: of the fullest window, or of the one that refuses for longest.
        reset_after: seconds until that window has room for one more than now.
        window: its name, such as `account-minute`; "" where nothing is limited.
        states: all windows that were looked at.
    """

    allowed: bool
    remaining: int
    retry_after: float
    limit: int = 0
    reset_after: float = 0.0
    window: str = ""
    states: tuple[WindowState, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10; empty where nothing is limited."""
        if not self.states:
            return {}
        policies = ", ".join(f'"{state.name}";q={state.window.limit};w={state.window.seconds}' for state in self.states)
        reset = math.ceil(self.reset_after)
        return {"RateLimit-Policy": policies, "RateLimit": f'"{self.window}";r={self.remaining};t={reset}'}


UNLIMITED = RateLimitResult(allowed=True, remaining=0, retry_after=0.0)


def judge(quotas: Sequence[Quota], usages: Sequence[Usage], *, taken: bool) -> RateLimitResult:
    """The result of a request; `usages` are of all windows of all quotas, in order, after it was counted or refused."""
    windows = [(quota.level, window) for quota in quotas for window in quota.windows]
    states = tuple(WindowState(level, window, usage) for (level, window), usage in zip(windows, usages, strict=True))
    if not states:
        return UNLIMITED
    if taken:
        tightest = min(states, key=lambda state: (state.remaining / state.window.limit, -state.window.seconds))
    else:
        # In whole seconds, so that of windows that are full for the same time the first one is told.
        tightest = max(states, key=lambda state: math.ceil(state.usage.wait))
    return RateLimitResult(
        allowed=taken,
        remaining=tightest.remaining if taken else 0,
        retry_after=0.0 if taken else tightest.usage.wait,
        limit=tightest.window.limit,
        reset_after=tightest.usage.reset if taken else tightest.usage.wait,
        window=tightest.name,
        states=states,
    )
