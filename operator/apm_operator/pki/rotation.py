"""How one authority follows another without a moment in which a certificate is not trusted: a state machine over times.

The next authority is first made known to everybody, then signs; the one before stays known until the last certificate
that it signed has ended. All times are seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

RENEW_AT = 2 / 3
"""The part of its life after which a certificate, or an authority, is followed by the next."""


@dataclass(frozen=True, slots=True)
class Authority:
    """One authority.

    Attributes:
        id: its key's identifier, in hexadecimal digits.
        signed_until: no certificate that it signed ends later.
    """

    id: str
    made: float
    ends: float
    signed_until: float = 0.0

    @property
    def due(self) -> float:
        """When the next one is made known."""
        return self.made + (self.ends - self.made) * RENEW_AT


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authorities that are trusted: one signs, the next may be known already, some may be on their way out."""

    signing: Authority
    coming: Authority | None = None
    leaving: tuple[Authority, ...] = ()

    @property
    def trusted(self) -> tuple[Authority, ...]:
        """All of them, the one that signs first."""
        return (self.signing, *((self.coming,) if self.coming else ()), *self.leaving)


class Step(Enum):
    """What is to be done next."""

    REST = "rest"
    ANNOUNCE = "announce"
    SWITCH = "switch"
    DROP = "drop"


def step(authorities: Authorities, now: float, overlap: float) -> Step:
    """What is due.

    Args:
        authorities: those there are.
        now: the time.
        overlap: seconds for which everybody has known the next authority before it signs.
    """
    if any(each.signed_until <= now for each in authorities.leaving):
        return Step.DROP
    if authorities.coming is None:
        return Step.ANNOUNCE if now >= authorities.signing.due else Step.REST
    over = now >= authorities.coming.made + overlap or now >= authorities.signing.ends
    return Step.SWITCH if over else Step.REST


def next_time(authorities: Authorities, overlap: float) -> float:
    """When something is due next."""
    coming = authorities.coming
    turn = authorities.signing.due if coming is None else min(coming.made + overlap, authorities.signing.ends)
    return min(turn, *(each.signed_until for each in authorities.leaving), turn)


def announced(authorities: Authorities, new: Authority) -> Authorities:
    """After ANNOUNCE: `new` is known."""
    return replace(authorities, coming=new)


def switched(authorities: Authorities) -> Authorities:
    """After SWITCH: the one that was known signs. One that never signed is not waited for."""
    if authorities.coming is None:
        raise ValueError("No authority is known that could sign")
    before = replace(authorities.signing, signed_until=min(authorities.signing.signed_until, authorities.signing.ends))
    return Authorities(signing=authorities.coming, leaving=(*authorities.leaving, before))


def dropped(authorities: Authorities, now: float) -> Authorities:
    """After DROP: those whose last certificate has ended are gone."""
    return replace(authorities, leaving=tuple(each for each in authorities.leaving if each.signed_until > now))


def promised(authorities: Authorities, now: float, ends: float) -> Authorities:
    """Before a certificate that ends at `ends` is signed: the same where that is promised already.

    What is promised reaches a whole life of that certificate further, so that its renewals, and certificates as long
    as it, need no promise of their own until then.
    """
    if ends <= authorities.signing.signed_until:
        return authorities
    until = min(ends + (ends - now), authorities.signing.ends)
    return replace(authorities, signing=replace(authorities.signing, signed_until=until))
