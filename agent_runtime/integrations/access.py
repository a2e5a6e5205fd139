"""The integrations of an agent, or of a program of one's own, as they are configured."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.integrations.bookings import IntegrationAgent
from agent_runtime.integrations.communications import CommunicationsSupervisor
from agent_runtime.integrations.crm import CRMAgent
from agent_runtime.integrations.knowledge_base import KnowledgeBaseAgent
from agent_runtime.integrations.metrics import IntegrationMetrics, Measured
from agent_runtime.integrations.service import Service
from agent_runtime.integrations.settings import Place, places
from agent_runtime.outbound import HEADER_VALUE
from agent_runtime.resilience.breakers import Breakers
from agent_runtime.spec.integrations import VARIABLES, IntegrationSpec, IntegrationsSpec
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from agent_runtime.integrations.backend import Backend
    from agent_runtime.outbound import Secrets
    from agent_runtime.spec.integrations import IntegrationName


class Integrations:
    """The clients, each made when it is asked for; one that is not configured says so then.

    The spec goes before the environment, with address and key together: a key never goes to an address that somebody
    else wrote.
    """

    def __init__(
        self,
        spec: IntegrationsSpec | None,
        places: Mapping[IntegrationName, Place],
        *,
        http: httpx.AsyncClient | None = None,
        secrets: Secrets | None = None,
        knowledge: Backend | None = None,
        breakers: Breakers | None = None,
        metrics: IntegrationMetrics | None = None,
    ) -> None:
        """`knowledge` is the agent's own knowledge base, for where no service is configured."""
        self._breakers = breakers or Breakers()
        self._spec = spec or IntegrationsSpec()
        self._places = places
        self._http = http
        self._secrets = secrets
        self._knowledge = knowledge
        self._metrics = metrics

    @classmethod
    def configured(
        cls,
        spec: IntegrationsSpec | None = None,
        http: httpx.AsyncClient | None = None,
        secrets: Secrets | None = None,
        *,
        knowledge: Backend | None = None,
        breakers: Breakers | None = None,
        metrics: IntegrationMetrics | None = None,
    ) -> Integrations:
        """Those of a spec, and of the environment where that says nothing. Raises ConfigError as `places` does."""
        return cls(spec, places(), http=http, secrets=secrets, knowledge=knowledge, breakers=breakers, metrics=metrics)

    @cached_property
    def communications(self) -> CommunicationsSupervisor:
        """Sends messages. Raises ConfigError where it is not configured, as the others do."""
        return CommunicationsSupervisor(self.backend("communications"))

    @cached_property
    def bookings(self) -> IntegrationAgent:
        """Makes reservations and appointments."""
        return IntegrationAgent(self.backend("bookings"))

    @cached_property
    def knowledge_base(self) -> KnowledgeBaseAgent:
        """Looks things up."""
        return KnowledgeBaseAgent(self.backend("knowledgeBase"))

    @cached_property
    def crm(self) -> CRMAgent:
        """Keeps contacts, deals and notes."""
        return CRMAgent(self.backend("crm"))

    @property
    def serves_knowledge(self) -> bool:
        """Whether documents are looked up at a service, and not in the agent's own MongoDB."""
        written = self._spec.knowledge_base
        return (written is not None and written.base_url is not None) or "knowledgeBase" in self._places

    def backend(self, name: IntegrationName) -> Backend:
        """What does the operations of an integration.

        Raises:
            ConfigError: Neither the spec nor the environment says where it is.
        """
        found = self._found(name)
        return Measured(found, self._metrics) if self._metrics is not None else found

    def _found(self, name: IntegrationName) -> Backend:
        written = self._spec.by_name(name)
        spec = written or IntegrationSpec()
        if spec.base_url is not None:
            return self._service(name, spec, spec.base_url, lambda: self._bearer(spec))
        if (place := self._places.get(name)) is not None:
            return self._service(name, spec, place.url, lambda: _bearer(place.key, VARIABLES[name][1]))
        if name == "knowledgeBase" and self._knowledge is not None:
            return self._knowledge
        own = ", or `integrations.knowledgeBase: {}` and `state.mongodb` to keep documents there"
        raise ConfigError(
            f"the integration {name} is not configured: set `integrations.{name}.baseURL` in the spec, or the variable "
            f"{VARIABLES[name][0]}{own if name == 'knowledgeBase' else ''}"
        )

    def _service(
        self, name: IntegrationName, spec: IntegrationSpec, url: str, credentials: Callable[[], dict[str, str]]
    ) -> Service:
        guard = self._breakers.guard(f"integration {name}", spec.breaker)
        timeout, attempts = seconds(spec.timeout), spec.max_attempts
        return Service(name, url, credentials, timeout, attempts, self._http, guard, spec.backoff)

    def _bearer(self, spec: IntegrationSpec) -> dict[str, str]:
        if spec.api_key_secret_ref is None or self._secrets is None:
            return {}
        return self._secrets.bearer(spec.api_key_secret_ref)


def _bearer(key: str, variable: str) -> dict[str, str]:
    if not key:
        return {}
    if not HEADER_VALUE.fullmatch(key):
        raise CallError(
            CallErrorKind.AUTHENTICATION, f"{variable} holds blanks or other characters that no key has: correct it"
        )
    return {"authorization": f"Bearer {key}"}
