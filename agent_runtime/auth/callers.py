"""Other agents, known by their certificates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog

from agent_runtime.auth.principal import Principal
from agent_runtime.errors import ForbiddenError
from agent_runtime.spec.identity import agent_of
from agent_runtime.tls.material import file_stamp

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()


class Callers:
    """The agents that may call this one: a file that the operator keeps up to date."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: object = ()
        self._agents: frozenset[str] = frozenset()

    def principal(self, uri: str) -> Principal:
        """The agent that a certificate names.

        Raises:
            ForbiddenError: It may not call this agent, or the certificate is not an agent's.
        """
        agent = agent_of(uri)
        if agent is None:
            raise ForbiddenError("this certificate is no agent's: it gives no access here")
        if agent not in self._allowed():
            raise ForbiddenError(
                f"agent {agent} may not call this one: ask it in a node of its workflow, make it a sink of its events, "
                "or name it in this agent's `network.ingressFrom`"
            )
        return Principal(agent, "", "mtls")

    def _allowed(self) -> frozenset[str]:
        seen = file_stamp(self._file)
        if seen != self._seen:
            self._seen = seen
            try:
                self._agents = frozenset(json.loads(self._file.read_bytes())["agents"])
            except (OSError, ValueError, TypeError, KeyError) as error:
                log.warning("the list of callers can't be read, going on with the old one", reason=type(error).__name__)
        return self._agents
