from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal
from urllib.parse import quote

from agent_runtime.state.records import ANONYMOUS, OWNER_END

Method = Literal["mtls", "jwt", "serviceAccount", "apiKey", "anonymous"]


@dataclass(frozen=True)
class Principal:
    """A caller whose proof was accepted.

    Attributes:
        account: who calls: an agent or ServiceAccount as `namespace/name`, the name of an API key, a claim of a token.
        user: the person for whom it calls, where a token says so.
        issuer: of the token, where there may be several.
    """

    account: str
    user: str
    method: Method
    issuer: str = ""

    @property
    def owner(self) -> str:
        """The same text for the same caller, and another one for every other; part of what is stored."""
        if self.method == "anonymous":
            return ANONYMOUS
        parts = (self.method, self.account, self.user, self.issuer)
        return "|".join(quote(part, safe="/:@+=,") for part in parts).rstrip("|")

    @property
    def description(self) -> dict[str, str]:
        """For logs and metadata."""
        return {name: value for name, value in asdict(self).items() if value and name != "issuer"}

    def key(self, thread_id: str) -> str:
        """What a thread of this caller is kept under.

        Callers can't meet: the same id names another thread for each, and nobody can tell which ids others use.
        Anonymous callers' threads are kept under their plain ids, as all threads were before callers were told apart.
        """
        if self._scope or OWNER_END in thread_id:
            return f"{self._scope}{OWNER_END}{thread_id}"
        return thread_id

    @cached_property
    def _scope(self) -> str:
        if self.method == "anonymous":
            return ""
        return hashlib.sha256(self.owner.encode()).hexdigest()[:32]


NOBODY = Principal("anonymous", "", "anonymous")
"""Who brings no proof, where that is allowed."""
