"""Trying again: how often, after which pauses, and after which failures."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

import stamina

from agent_runtime.resilience.categories import (
    RETRYABLE,
    ErrorCategory,
    is_control_flow,
    known_category,
    retry_after,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How a failed call is tried again. Pauses are in seconds.

    Attributes:
        max_attempts: in all, the first one included.
        initial_delay: before the second attempt.
        max_delay: longest pause; a `Retry-After` that is longer ends the attempts.
        exponential_base: factor by which the pause grows.
        jitter: whether up to `initial_delay` is added to each pause, so that many callers don't come back at once.
        retry_on: categories that are tried again.
    """

    max_attempts: int = 3
    initial_delay: float = 1.0
    max_delay: float = 60.0
    exponential_base: float = 2.0
    jitter: bool = True
    retry_on: Collection[ErrorCategory] = RETRYABLE

    def attempts(self, decide: Callable[[Exception], bool | float]) -> Any:
        """The attempts, for `for` and `async for`; `decide` says whether, or in how many seconds, one more follows."""
        return stamina.retry_context(
            on=decide,
            attempts=self.max_attempts,
            timeout=None,
            wait_initial=self.initial_delay,
            wait_max=self.max_delay,
            wait_jitter=self.initial_delay if self.jitter else 0.0,
            wait_exp_base=self.exponential_base,
        )


def pause(error: BaseException, categories: Collection[ErrorCategory], longest: float) -> bool | float:
    """Whether to try again after `error`, or after how many seconds; unknown exceptions are not tried again."""
    if known_category(error) not in categories or is_control_flow(error):
        return False
    asked = retry_after(error)
    if asked is None:
        return True
    return asked if asked <= longest else False


@overload
def retry_with_backoff(function: F, /) -> F: ...
@overload
def retry_with_backoff(
    config: RetryConfig | None = None,
    /,
    *,
    retry_on: Iterable[type[BaseException] | ErrorCategory] | None = None,
    **settings: Any,
) -> Callable[[F], F]: ...
def retry_with_backoff(
    given: Any = None,
    /,
    *,
    retry_on: Iterable[type[BaseException] | ErrorCategory] | None = None,
    **settings: Any,
) -> Any:
    """A decorator, for functions of both kinds, that calls again after failures that may be over in a moment.

    Args:
        given: a RetryConfig, or the function itself.
        retry_on: categories to try again, or types of exceptions. Of these types even those are tried again whose
            category is not known, but none that are known to be PERMANENT or AUTHENTICATION.
        settings: fields of RetryConfig to be set, such as `max_attempts`.
    """
    config = replace(given if isinstance(given, RetryConfig) else RetryConfig(), **settings)
    decide = _decision(config, tuple(retry_on or ()))

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def retried_async(*args: Any, **kwargs: Any) -> Any:
                async for attempt in config.attempts(decide):
                    with attempt:
                        return await function(*args, **kwargs)
                raise AssertionError("stamina either returns or raises")

            return retried_async  # type: ignore[return-value]

        @wraps(function)
        def retried(*args: Any, **kwargs: Any) -> Any:
            for attempt in config.attempts(decide):
                with attempt:
                    return function(*args, **kwargs)
            raise AssertionError("stamina either returns or raises")

        return retried  # type: ignore[return-value]

    return decorate(given) if callable(given) else decorate


def _decision(
    config: RetryConfig, retry_on: tuple[type[BaseException] | ErrorCategory, ...]
) -> Callable[[Exception], bool | float]:
    types = tuple(each for each in retry_on if isinstance(each, type))
    categories = frozenset(each for each in retry_on if isinstance(each, ErrorCategory))
    wanted = categories or frozenset(config.retry_on)

    def decide(error: Exception) -> bool | float:
        if is_control_flow(error) or (types and not categories and not isinstance(error, types)):
            return False
        if known_category(error) is None:
            return isinstance(error, types)
        return pause(error, wanted, config.max_delay)

    return decide
