"""Going on with less when something fails."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from agent_runtime.resilience.categories import categorize, is_control_flow

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

log = structlog.get_logger()


def graceful_degradation(
    fallback_value: Any = None,
    fallback_function: Callable[..., Any] | None = None,
    *,
    on: tuple[type[Exception], ...] = (Exception,),
) -> Callable[[F], F]:
    """A decorator, for functions of both kinds, that gives something else when the function fails.

    Args:
        fallback_value: what is given then.
        fallback_function: is called instead with the same arguments, where it is set; asynchronous only if the
            function is.
        on: exceptions that count; LangGraph's interrupts and commands never do.
    """

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def degrading_async(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await function(*args, **kwargs)
                except on as error:
                    _pass_on(error, function)
                if fallback_function is None:
                    return fallback_value
                found = fallback_function(*args, **kwargs)
                return await found if inspect.isawaitable(found) else found

            return degrading_async  # type: ignore[return-value]

        @wraps(function)
        def degrading(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except on as error:
                _pass_on(error, function)
            return fallback_value if fallback_function is None else fallback_function(*args, **kwargs)

        return degrading  # type: ignore[return-value]

    return decorate


def _pass_on(error: Exception, function: Callable[..., Any]) -> None:
    if is_control_flow(error):
        raise error
    name = getattr(function, "__qualname__", type(function).__name__)
    log.warning("going on with a fallback", function=name, category=categorize(error).value, quoted=str(error))
