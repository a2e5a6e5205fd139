"""An integration whose operations another service does, by HTTP."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import ValidationError

from agent_runtime import outbound, plain
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.resilience.breakers import no_guard
from agent_runtime.spec.backoff import BackoffSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from agent_runtime.integrations.operation import A, Arguments, Operation
    from agent_runtime.resilience.breakers import Guard


@dataclass(frozen=True)
class Service:
    """Sends operations to an address. `timeout` is in seconds, and of one attempt.

    Without `http` each call has a connection of its own, for use from anywhere.
    """

    name: str
    url: str
    credentials: Callable[[], Mapping[str, str]]
    """The headers that prove who asks; made at use, so that a rotated key is seen."""
    timeout: float
    attempts: int
    http: httpx.AsyncClient | None = None
    guard: Guard = no_guard
    backoff: BackoffSpec = field(default_factory=BackoffSpec)

    async def perform(self, operation: Operation[A], arguments: Arguments, key: str) -> A:
        """One operation, tried again where that may help: the service does what has the same key once.

        Raises:
            CallError: The service could not be reached, failed, or answered something else.
        """
        body = arguments.model_dump(mode="json", exclude_unset=True, exclude=set(operation.in_path))
        headers = {**outbound.passed_on(), **self.credentials()}
        if operation.changes:
            headers["idempotency-key"] = key
        async with AsyncExitStack() as stack:
            http = self.http if self.http is not None else await stack.enter_async_context(outbound.client())
            answer = await self._guarded(http, operation, self._address(operation, arguments), headers, body)
        return self._read(operation, answer)

    async def _guarded(
        self,
        http: httpx.AsyncClient,
        operation: Operation[A],
        url: str,
        headers: Mapping[str, str],
        body: object,
    ) -> bytes:
        """The one way to the service."""
        return await outbound.retried(
            lambda: outbound.request(
                http,
                operation.method,
                url,
                what=f"integration {self.name}",
                timeout=self.timeout,
                headers=headers,
                body=body,
            ),
            attempts=self.attempts,
            longest_pause=self.timeout,
            guard=self.guard,
            backoff=self.backoff,
        )

    def _address(self, operation: Operation[A], arguments: Arguments) -> str:
        path = operation.path
        for name in operation.in_path:
            value = str(getattr(arguments, name))
            if value in {".", ".."}:
                raise CallError(CallErrorKind.REFUSED, f"the argument {name} of {operation.name} can't be {value!r}")
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return self.url.rstrip("/") + path

    def _read(self, operation: Operation[A], answer: bytes) -> A:
        try:
            return operation.answer.model_validate(plain.parse(answer))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the answer"
            reason = f"{where}: {first['msg']}"
        except ValueError:
            reason = "it is no JSON"
        raise CallError(
            CallErrorKind.BAD_ANSWER,
            f"integration {self.name} answered {operation.name} with something else than docs/integrations.md says: "
            f"{reason}",
        )
