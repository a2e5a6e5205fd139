"""All operations of all integrations."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import ConfigError
from agent_runtime.integrations import bookings, communications, crm, knowledge_base

if TYPE_CHECKING:
    from agent_runtime.integrations.operation import Operation
    from agent_runtime.spec.integrations import IntegrationName

CATALOGUE: Mapping[IntegrationName, tuple[Operation[Any], ...]] = MappingProxyType(
    {
        "communications": communications.OPERATIONS,
        "bookings": bookings.OPERATIONS,
        "knowledgeBase": knowledge_base.OPERATIONS,
        "crm": crm.OPERATIONS,
    }
)


def find(integration: IntegrationName, name: str) -> Operation[Any]:
    """An operation by its name.

    Raises:
        ConfigError: The integration has none of this name.
    """
    known = {operation.name: operation for operation in CATALOGUE[integration]}
    if name not in known:
        raise ConfigError(f"{integration} has no operation {name} (there are: {', '.join(known)}): correct the name")
    return known[name]
