"""What `kubectl get` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

_READY = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column; `wide` ones are shown by `-o wide` only."""

    name: str
    description: str
    path: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False

    def printed(self) -> dict[str, Any]:
        """As the CRD lists it."""
        shown = {"name": self.name, "type": self.type, "description": self.description, "jsonPath": self.path}
        return {**shown, "priority": 1} if self.wide else shown


_AGE = Column("Age", "Time since it was made.", ".metadata.creationTimestamp", "date")
_REASON = Column("Reason", "Why.", f"{_READY}.reason")
_MESSAGE = Column("Message", "Why, and what to do.", f"{_READY}.message", wide=True)

AGENT = (
    Column("Ready", "Whether the agent answers.", f"{_READY}.status"),
    _REASON,
    Column("Replicas", "Pods that answer requests.", ".status.readyReplicas", "integer"),
    Column("Pods", "Pods that exist, ready or not.", ".status.replicas", "integer"),
    Column("Model", "Language model of the agent.", ".status.model"),
    _AGE,
    _MESSAGE,
)
POLICY = (
    Column("Schedule", "When backups are made.", ".spec.schedule"),
    Column("Time zone", "Time zone of the schedule.", ".spec.timeZone", wide=True),
    Column("Last success", "Time since the last good backup.", ".status.lastSuccessTime", "date"),
    Column("Last verified", "Time since one was last proven to restore.", ".status.lastVerifiedTime", "date"),
    # A date column tells how long ago something was, which says nothing of what is to come.
    Column("Next", "When the next one is due.", ".status.nextScheduleTime"),
    Column("Ready", "Whether backups are made.", f"{_READY}.status"),
    Column("Reason", "Why.", f"{_READY}.reason", wide=True),
    _MESSAGE,
)
BACKUP = (
    Column("Phase", "How far it is.", ".status.phase"),
    Column("Size", "Bytes in the storage.", ".status.size", "integer"),
    Column("Verified", "Whether it is proven to restore.", ".status.verified"),
    _AGE,
    Column("Expires", "When the retention may remove it.", ".status.expires"),
    Column("Reason", "Why.", f"{_READY}.reason", wide=True),
    _MESSAGE,
)
RESTORE = (
    Column("Phase", "How far it is.", ".status.phase"),
    Column("Percent", "Of the phase.", ".status.progress.percent", "integer"),
    Column("Documents", "Documents that were restored.", ".status.documents", "integer"),
    Column("Backup", "What is restored.", ".status.backup"),
    _AGE,
    Column("Reason", "Why.", f"{_READY}.reason", wide=True),
    _MESSAGE,
)
REPORT = (
    Column("Schedule", "When reports are made.", ".spec.schedule"),
    Column("Time zone", "Time zone of the schedule.", ".spec.timeZone", wide=True),
    Column("Period", "What a report is about.", ".spec.period"),
    Column("Last report", "Time since the last one that went wherever it was to go.", ".status.lastReportTime", "date"),
    Column("Next", "When the next one is due.", ".status.nextScheduleTime"),
    Column("Ready", "Whether reports are made.", f"{_READY}.status"),
    Column("Reason", "Why.", f"{_READY}.reason", wide=True),
    _MESSAGE,
)
