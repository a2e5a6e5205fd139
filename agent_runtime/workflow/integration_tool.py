"""Tools that are operations of integrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.integrations.backend import arguments_of
from agent_runtime.integrations.catalogue import find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.integrations.access import Integrations
    from agent_runtime.integrations.backend import Backend
    from agent_runtime.integrations.operation import Operation
    from agent_runtime.spec.tool import ToolSpec


@dataclass(frozen=True)
class IntegrationToolCaller:
    """Does the operation of one tool; `spec` says what it takes, as a model is told."""

    spec: ToolSpec
    operation: Operation[Any]
    backend: Backend
    given: Mapping[str, str]
    """The arguments that are always the same."""

    @classmethod
    def of(cls, tool: ToolSpec, integrations: Integrations) -> IntegrationToolCaller:
        """Raises ConfigError if the integration is not configured, or has no such operation or argument."""
        if tool.integration is None:
            raise ConfigError(f"tool {tool.name} names no integration: set its `integration`")
        operation = find(tool.integration.name, tool.integration.operation)
        given = tool.integration.arguments
        parameters = operation.parameters()
        if unknown := sorted(given.keys() - parameters["properties"].keys()):
            raise ConfigError(f"tool {tool.name}: {operation.name} takes no argument {unknown[0]}: remove it")
        parameters["properties"] = {name: each for name, each in parameters["properties"].items() if name not in given}
        parameters["required"] = [name for name in parameters.get("required", ()) if name not in given]
        told = {"parameters": parameters, "description": tool.description or operation.description}
        return cls(tool.model_copy(update=told), operation, integrations.backend(tool.integration.name), given)

    async def describe(self) -> ToolSpec:
        """As the operation says."""
        return self.spec

    async def call(self, arguments: Mapping[str, Any], key: str) -> Any:
        """What the service answers, as plain data; `key` tells a repeated call from a new one.

        Raises:
            CallError: The arguments don't fit (`Refused`, nothing was sent), or the call failed.
        """
        if taken := sorted(self.given.keys() & arguments.keys()):
            raise CallError(CallErrorKind.REFUSED, f"the argument {taken[0]} of tool {self.spec.name} is set already")
        checked = arguments_of(self.operation, {**arguments, **self.given})
        answer = await self.backend.perform(self.operation, checked, key)
        return answer.model_dump(mode="json", exclude_none=True)
