"""The integrations of the agent in this process, for code that was not handed them, such as an own graph's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.integrations.access import Integrations

if TYPE_CHECKING:
    from agent_runtime.integrations.bookings import IntegrationAgent
    from agent_runtime.integrations.communications import CommunicationsSupervisor
    from agent_runtime.integrations.crm import CRMAgent
    from agent_runtime.integrations.knowledge_base import KnowledgeBaseAgent

_of_the_process: list[Integrations] = []


def install(integrations: Integrations) -> None:
    """Makes an agent's integrations those of the process."""
    _of_the_process[:] = [integrations]


def remove(integrations: Integrations) -> None:
    """Takes them back, unless others have come in their place."""
    if _of_the_process and _of_the_process[0] is integrations:
        _of_the_process.clear()


def current() -> Integrations:
    """The running agent's; in a program of one's own, those that the environment names. May raise ConfigError."""
    return _of_the_process[0] if _of_the_process else Integrations.configured()


def get_communications_supervisor() -> CommunicationsSupervisor:
    """Sends messages.

    Raises:
        ConfigError: It is not configured, as the other functions do.
    """
    return current().communications


def get_integration_agent() -> IntegrationAgent:
    """Makes reservations and appointments."""
    return current().bookings


def get_knowledge_base_agent() -> KnowledgeBaseAgent:
    """Looks things up."""
    return current().knowledge_base


def get_crm_agent() -> CRMAgent:
    """Keeps contacts, deals and notes."""
    return current().crm
