"""Looking for journals on a server on which others are at work."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pymongo.errors import OperationFailure

from apm_operator.backup import journal
from apm_operator.backup.journal import Journal, Move
from apm_operator.backup.mongo import Client

MINE = Journal(id="mine", attempt="1", moves=(Move(database="shop", name="orders", staged="s", old="o"),))


class Server:
    """A server on which the first database is dropped while it is looked at, or can't be read."""

    def __init__(self, *, drops: bool) -> None:
        self.names = ["another", "shop"]
        self.drops = drops

    def list_database_names(self) -> list[str]:
        return list(self.names)

    def __getitem__(self, database: str) -> Any:
        server = self

        class Database:
            def __getitem__(self, _: str) -> Any:
                return self

            def find_one(self, _: object) -> dict[str, str] | None:
                if database == "shop":
                    return {"_id": "mine", "journal": MINE.to_json()}
                if server.drops:
                    server.names.remove(database)
                raise OperationFailure("something is amiss", 115)

        return Database()


def test_a_database_that_goes_away_meanwhile_holds_no_journal():
    assert journal.find(cast("Client", Server(drops=True)), "mine") == MINE


def test_a_database_that_stays_and_can_not_be_read_is_told():
    with pytest.raises(OperationFailure):
        journal.find(cast("Client", Server(drops=False)), "mine")
