"""Messages, bookings, knowledge and customers, by the services that offer them; see docs/integrations.md."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.integrations.bookings import IntegrationAgent
    from agent_runtime.integrations.communications import CommunicationsSupervisor
    from agent_runtime.integrations.crm import CRMAgent
    from agent_runtime.integrations.current import (
        get_communications_supervisor,
        get_crm_agent,
        get_integration_agent,
        get_knowledge_base_agent,
    )
    from agent_runtime.integrations.knowledge_base import KnowledgeBaseAgent

__all__ = [
    "CRMAgent",
    "CommunicationsSupervisor",
    "IntegrationAgent",
    "KnowledgeBaseAgent",
    "get_communications_supervisor",
    "get_crm_agent",
    "get_integration_agent",
    "get_knowledge_base_agent",
]

_MODULES = {
    "CRMAgent": "crm",
    "CommunicationsSupervisor": "communications",
    "IntegrationAgent": "bookings",
    "KnowledgeBaseAgent": "knowledge_base",
}
"""Where the names are; the others are in `current`."""


def __getattr__(name: str) -> Any:
    """Loads what is asked for: most agents use none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'current')}"), name)
