from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A CEL condition over `self`, and what is said where it does not hold."""

    rule: str
    message: str
