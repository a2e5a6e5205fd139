"""What a request brings to prove who sends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 8 << 10
"""Characters of a token; identity providers' are a tenth of it."""


@dataclass(frozen=True)
class Proof:
    """What a request brings.

    Attributes:
        uri: what the certificate of its connection names.
        bearer: the token of `Authorization: Bearer`; "" where there is none.
        key: the value of `X-Api-Key`; "" where there is none.
        address: where it came from, which proves nothing.
    """

    uri: str | None = None
    bearer: str = ""
    key: str = ""
    address: str = ""

    @classmethod
    def read(cls, headers: Mapping[str, str], uri: str | None, address: str = "") -> Proof:
        """From a request's headers; what is longer than any token is taken for none."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        return cls(uri, bearer[: _LONGEST + 1], headers.get("x-api-key", "")[: _LONGEST + 1], address)

    @property
    def too_long(self) -> bool:
        """Whether it can't be a token."""
        return max(len(self.bearer), len(self.key)) > _LONGEST
