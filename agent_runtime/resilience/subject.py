"""For whom a request or a run is made."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose requests, tokens and cost are counted.

    Attributes:
        account: the caller, told apart from callers of the same name that prove it in another way.
        user: the person for whom it calls; "" where nobody says so.
    """

    account: str = "anonymous"
    user: str = ""

    @classmethod
    def of_owner(cls, owner: str) -> Subject:
        """From `Principal.owner`: method, account, user and issuer."""
        method, account, user, issuer, *_ = (*owner.split("|"), "", "", "", "")
        return cls(f"{method}|{account}|{issuer}".rstrip("|"), user)


_NOBODY = Subject()
subject: ContextVar[Subject] = ContextVar("subject", default=_NOBODY)
"""For whom this context works."""
