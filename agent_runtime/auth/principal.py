from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self, cast
from urllib.parse import quote, unquote

from agent_runtime.state.records import ANONYMOUS, OWNER_END

Method = Literal["mtls", "jwt", "serviceAccount", "apiKey", "anonymous"]


@dataclass(frozen=True)
class Principal:
    """A caller whose proof was accepted.

    Attributes:
        account: who calls: an agent or ServiceAccount as `namespace/name`, the name of an API key, a claim of a token.
        user: the person for whom it calls, where a token says so.
        issuer: of the token, where there may be several.
        claims: all that the token says; lives as long as the request, and is not kept.
    """

    account: str
    user: str
    method: Method
    issuer: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def owner(self) -> str:
        """The same text for the same caller, and another one for every other; part of what is stored."""
        if self.method == "anonymous":
            return ANONYMOUS
        parts = (self.method, self.account, self.user, self.issuer)
        return "|".join(quote(part, safe="/:@+=,") for part in parts).rstrip("|")

    @classmethod
    def of_owner(cls, owner: str) -> Self:
        """The caller whose `owner` this is."""
        method, account, user, issuer, *_ = (*map(unquote, owner.split("|")), "", "", "", "")
        return cls(account or ANONYMOUS, user, cast("Method", method), issuer)

    @property
    def description(self) -> dict[str, str]:
        """For logs and metadata."""
        told = {"account": self.account, "user": self.user, "method": self.method}
        return {name: value for name, value in told.items() if value}

    @property
    def kept(self) -> dict[str, str]:
        """What is kept of it where it is needed again; `Principal(**kept)` has the same owner, and no claims."""
        return {"account": self.account, "user": self.user, "method": self.method, "issuer": self.issuer}

    def key(self, thread_id: str) -> str:
        """What a thread of this caller is kept under.

        Callers can't meet: the same id names another thread for each, and nobody can tell which ids others use.
        Anonymous callers' threads are kept under their plain ids, as all threads were before callers were told apart.
        """
        if self._prefix or OWNER_END in thread_id:
            return f"{self._prefix}{OWNER_END}{thread_id}"
        return thread_id

    @property
    def scope(self) -> str:
        """What begins the keys of its threads, and of all else that is kept for it."""
        return self._prefix or ANONYMOUS

    @cached_property
    def _prefix(self) -> str:
        if self.method == "anonymous":
            return ""
        return hashlib.sha256(self.owner.encode()).hexdigest()[:32]


NOBODY = Principal("anonymous", "", "anonymous")
"""Who brings no proof, where that is allowed."""
