"""A circuit breaker: a dependency that fails again and again is left alone for a while."""

from __future__ import annotations

import inspect
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.resilience.categories import ErrorCategory, categorize, is_control_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any]")

_FAILURES = frozenset({ErrorCategory.TRANSIENT, ErrorCategory.TIMEOUT})
"""What says that the dependency is ill. One that refuses a request is well, and one that limits us answers."""


class CircuitState(StrEnum):
    """States of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(CallError):
    """The dependency was not asked, since it failed too often a moment ago."""

    def __init__(self, name: str, retry_after: float | None) -> None:
        """`retry_after` is in seconds; None while another call tries whether it is well."""
        then = "another call tries it now" if retry_after is None else f"is tried again in {retry_after:.0f} s"
        message = f"{name} was not asked: it failed too often, and {then}"
        super().__init__(CallErrorKind.CIRCUIT_OPEN, message, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens and closes.

    Attributes:
        failure_threshold: failures in a row after which it opens.
        timeout: seconds for which it then lets nothing through.
        success_threshold: successes in a row after which it closes, of tries that are made one at a time.
    """

    failure_threshold: int = 5
    timeout: float = 60.0
    success_threshold: int = 2


class CircuitBreaker:
    """Counts failures of one dependency in this process; any thread may ask. Usable as a decorator and by `guard`."""

    def __init__(
        self,
        name: str = "the service",
        failure_threshold: int = 5,
        timeout: float = 60.0,
        success_threshold: int = 2,
        *,
        is_failure: Callable[[BaseException], bool] = lambda error: categorize(error) in _FAILURES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout` is in seconds; `is_failure` says which exceptions count, by default transient ones and timeouts."""
        self.name = name
        self.settings = BreakerSettings(failure_threshold, timeout, success_threshold)
        self._is_failure = is_failure
        self._clock = clock
        self._lock = RLock()
        self._state = CircuitState.CLOSED
        self._failures = self._successes = 0
        self._opened = 0.0
        self._trying = False

    @property
    def state(self) -> CircuitState:
        """The state; an open breaker is half open once its timeout is over."""
        with self._lock:
            if self._state is CircuitState.OPEN and self._clock() >= self._opened + self.settings.timeout:
                self._state, self._successes, self._trying = CircuitState.HALF_OPEN, 0, False
            return self._state

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Asks the dependency inside, and notes what comes of it; for asynchronous code as well.

        Raises:
            CircuitOpenError: It is not to be asked.
        """
        trial = self._admit()
        try:
            yield
        except Exception as error:
            if self.counts(error):
                self._failed()
            else:
                self._succeeded()
            raise
        else:
            self._succeeded()
        finally:
            # Also where it was cancelled, of which nothing follows.
            if trial:
                self._trying = False

    def counts(self, error: BaseException) -> bool:
        """Whether an exception says that the dependency is ill."""
        return not is_control_flow(error) and self._is_failure(error)

    def __call__(self, function: F) -> F:
        """The function, guarded."""
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                with self.guard():
                    return await function(*args, **kwargs)

            return guarded_async  # type: ignore[return-value]

        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with self.guard():
                return function(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    def open(self) -> None:
        """Lets nothing through from now on until the timeout is over."""
        with self._lock:
            self._state, self._opened, self._failures = CircuitState.OPEN, self._clock(), 0

    def close(self) -> None:
        """Lets everything through."""
        with self._lock:
            self._state, self._failures, self._successes = CircuitState.CLOSED, 0, 0

    def _admit(self) -> bool:
        """Raises CircuitOpenError, or tells whether this is a trial of a half-open breaker."""
        with self._lock:
            state = self.state
            if state is CircuitState.CLOSED:
                return False
            if state is CircuitState.OPEN:
                raise CircuitOpenError(self.name, max(0.0, self._opened + self.settings.timeout - self._clock()))
            if self._trying:
                raise CircuitOpenError(self.name, None)
            self._trying = True
            return True

    def _succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            if self._state is CircuitState.HALF_OPEN:
                self._successes += 1
                if self._successes >= self.settings.success_threshold:
                    self.close()

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._state is CircuitState.HALF_OPEN or (
                self._state is CircuitState.CLOSED and self._failures >= self.settings.failure_threshold
            ):
                self.open()
