"""Where spending is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent_runtime.errors import UnavailableError
from agent_runtime.resilience.spending import Account, Spending, before

if TYPE_CHECKING:
    from agent_runtime.resilience.documents import Documents

_KEPT_DAYS = 35
"""For who wants to look; nothing here reads them."""


class BudgetStore(Protocol):
    """Counts. Raises UnavailableError where it can't be reached."""

    async def reserve(self, account: Account, amount: Spending) -> bool:
        """Counts an amount if the account's budget holds it; tells whether it did."""

    async def add(self, account: Account, amount: Spending) -> None:
        """Counts an amount, which may be less than nothing, whatever the budget says."""

    async def spent(self, account: Account) -> Spending:
        """What is counted."""

    async def forget(self, today: str) -> None:
        """Removes what was counted long before `today`."""


class MemoryBudgets:
    """In the memory of the pod."""

    def __init__(self) -> None:
        self._spent: dict[str, Spending] = {}

    async def reserve(self, account: Account, amount: Spending) -> bool:
        """As `BudgetStore`."""
        spent = self._spent.get(account.key, Spending()) + amount
        if not account.budget.holds(spent):
            return False
        self._spent[account.key] = spent
        return True

    async def add(self, account: Account, amount: Spending) -> None:
        """As `BudgetStore`."""
        self._spent[account.key] = self._spent.get(account.key, Spending()) + amount

    async def spent(self, account: Account) -> Spending:
        """As `BudgetStore`."""
        return self._spent.get(account.key, Spending())

    async def forget(self, today: str) -> None:
        """As `BudgetStore`; yesterday's is still settled by calls that go on."""
        oldest = before(today, 1)
        self._spent = {key: spent for key, spent in self._spent.items() if key >= oldest}


class MongoBudgets:
    """In the collection `budgets`, a document for each account and day."""

    def __init__(self, documents: Documents, agent: str) -> None:
        self._documents = documents
        self._prefix = f"{agent}/"

    async def reserve(self, account: Account, amount: Spending) -> bool:
        """As `BudgetStore`."""
        budget = account.budget
        if not budget.holds(amount):
            return False
        room = {
            name: {"$lte": most - part}
            for name, most, part in (("tokens", budget.tokens, amount.tokens), ("cost", budget.cost, amount.cost))
            if most is not None
        }
        return await self._update(account, room, amount)

    async def add(self, account: Account, amount: Spending) -> None:
        """As `BudgetStore`."""
        await self._update(account, {}, amount)

    async def spent(self, account: Account) -> Spending:
        """As `BudgetStore`."""
        from pymongo.errors import PyMongoError  # noqa: PLC0415 - only what is used is loaded

        try:
            found = await self._documents.database["budgets"].find_one({"_id": self._prefix + account.key})
        except PyMongoError as error:
            raise _away(error) from error
        return Spending(found["tokens"], found["cost"]) if found else Spending()

    async def forget(self, today: str) -> None:
        """As `BudgetStore`."""
        from pymongo.errors import PyMongoError  # noqa: PLC0415 - likewise

        bounds = {"$gte": self._prefix, "$lt": self._prefix + before(today, _KEPT_DAYS)}
        try:
            await self._documents.database["budgets"].delete_many({"_id": bounds})
        except PyMongoError as error:
            raise _away(error) from error

    async def _update(self, account: Account, room: dict[str, dict[str, int]], amount: Spending) -> bool:
        from pymongo.errors import DuplicateKeyError, PyMongoError  # noqa: PLC0415 - likewise

        key = self._prefix + account.key
        inc = {"tokens": amount.tokens, "cost": amount.cost}
        first = {"agent": self._prefix.rstrip("/"), "level": account.level}
        try:
            await self._documents.database["budgets"].update_one(
                {"_id": key, **room}, {"$inc": inc, "$setOnInsert": first}, upsert=True
            )
        except DuplicateKeyError:
            # It is there and has no room, so that the upsert tried to make a second one; or it was made just now.
            return await self._update_there(key, room, inc)
        except PyMongoError as error:
            raise _away(error) from error
        return True

    async def _update_there(self, key: str, room: dict[str, dict[str, int]], inc: dict[str, int]) -> bool:
        from pymongo.errors import PyMongoError  # noqa: PLC0415 - likewise

        try:
            done = await self._documents.database["budgets"].update_one({"_id": key, **room}, {"$inc": inc})
        except PyMongoError as error:
            raise _away(error) from error
        return done.matched_count == 1


def _away(error: Exception) -> UnavailableError:
    return UnavailableError(f"MongoDB can't be used: {type(error).__name__}")
