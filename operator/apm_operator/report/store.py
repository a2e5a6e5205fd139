"""Reports in MongoDB: the collection `reports`, one document each, with its text, its page and its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apm_operator.backup.errors import BackupError
from apm_operator.backup.mongo import connected
from apm_operator.report.errors import StoreError
from apm_operator.report.job import Store

COLLECTION = "reports"
_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports of a database; `run` is the uid of the Job, and the id of its report."""

    store: Store
    run: str

    def put(self, document: dict[str, Any]) -> frozenset[str]:
        """Keep a report; another pod of the same Job writes the same document anew.

        Returns:
            Who has got it from an earlier pod.

        Raises:
            StoreError: MongoDB does not take it.
        """
        expires = datetime.now(UTC) + timedelta(days=self.store.days)
        with self._collection() as reports:
            reports.create_index("expiresAt", expireAfterSeconds=0)
            reports.create_index([("namespace", 1), ("report", 1), ("end", -1)])
            reports.update_one({"_id": self.run}, {"$set": {**document, "expiresAt": expires}}, upsert=True)
            return frozenset((reports.find_one({"_id": self.run}, {"sent": 1}) or {}).get("sent") or ())

    def mark(self, receiver: str) -> None:
        """Remember that somebody has got it.

        Raises:
            StoreError: MongoDB does not take it.
        """
        with self._collection() as reports:
            reports.update_one({"_id": self.run}, {"$addToSet": {"sent": receiver}})

    @contextmanager
    def _collection(self) -> Iterator[Any]:
        try:
            with connected(self.store.mongodb, wait=_WAIT) as client:
                yield client[self.store.database][COLLECTION]
        except BackupError as error:
            raise StoreError(str(error), again=error.again) from error
