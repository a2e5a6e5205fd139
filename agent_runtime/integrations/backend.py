"""What does an integration's operations, and the base of the clients that ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.integrations.task import new_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.integrations.operation import A, Arguments, Operation


class Backend(Protocol):
    """Does the operations of one integration."""

    async def perform(self, operation: Operation[A], arguments: Arguments, key: str) -> A:
        """Does it once for each `key`, however often it is asked.

        Raises:
            CallError: It could not be done.
        """


@dataclass(frozen=True)
class Client:
    """Base of the clients, one for each integration."""

    backend: Backend

    async def _do(self, operation: Operation[A], given: Mapping[str, Any], key: str | None = None) -> A:
        arguments = arguments_of(operation, given)
        return await self.backend.perform(operation, arguments, key or new_key(operation.name, arguments))


def arguments_of(operation: Operation[Any], given: Mapping[str, Any]) -> Arguments:
    """The arguments, checked; `None` stands for what is left out.

    Raises:
        CallError: They don't fit the operation (`Refused`); nothing was sent.
    """
    try:
        arguments = operation.arguments.model_validate({name: each for name, each in given.items() if each is not None})
        # Free fields may hold what JSON has no form for, such as half a character.
        arguments.model_dump_json()
    except ValidationError as error:
        found = [_told(one["loc"], one["msg"]) for one in error.errors(include_url=False, include_input=False)]
        raise CallError(CallErrorKind.REFUSED, f"{operation.name} can't be done: {'; '.join(found)}") from None
    except PydanticSerializationError:
        reason = "its arguments hold text that is no Unicode, or values that JSON has no form for"
        raise CallError(CallErrorKind.REFUSED, f"{operation.name} can't be done: {reason}") from None
    return arguments


def _told(where: tuple[int | str, ...], what: str) -> str:
    path = ".".join(str(part) for part in where)
    return f"{path}: {what}" if path else what.removeprefix("Value error, ")
