"""Kubernetes Events: what the reason of an agent, or of another object, has become."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from apm_operator.conditions import NORMAL_REASONS
from apm_operator.errors import ApiError
from apm_operator.kinds import AGENTS, EVENTS, FIELD_MANAGER

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key

_NOTE_LIMIT = 1024  # bytes, of events.k8s.io/v1

_log = structlog.stdlib.get_logger(__name__)


class Events:
    """Writes Events about what users have written; one that can't be written is only logged."""

    def __init__(self, kube: Kube, identity: str) -> None:
        self._kube = kube
        self._identity = identity[:128]

    async def tell(self, key: Key, uid: str, reason: str, message: str) -> None:
        """Write one Event; its type follows from the reason."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": f"{key.name}.{time.time_ns():x}", "namespace": key.namespace},
            "eventTime": now,
            "action": "Reconcile",
            "reason": reason,
            "note": message.encode()[:_NOTE_LIMIT].decode(errors="ignore"),
            "type": "Normal" if reason in NORMAL_REASONS else "Warning",
            "regarding": {
                "apiVersion": AGENTS.api_version,
                "kind": key.kind,
                "namespace": key.namespace,
                "name": key.name,
                "uid": uid,
            },
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._identity,
        }
        try:
            await self._kube.create(EVENTS, key.namespace, body)
        except ApiError as error:
            _log.info("An Event was not written", error=str(error))
