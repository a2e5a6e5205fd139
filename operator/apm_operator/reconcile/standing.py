"""How an agent's certificate stands, in the words in which it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.conditions import Aspect, Verdict
from apm_operator.pki.certificates import Leaf
from apm_operator.pki.holding import renewal

_RETRY_SECONDS = 5.0
_GRANT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What a pass needs to know of a certificate.

    Attributes:
        aspect: the condition CertificateReady.
        again: seconds after which it has to be looked at again.
        problem: why no pod can be started; None where it can.
        leaf: the certificate that the Secret holds; None where it holds none that can be used.
        authority: certificate of whoever signed it, PEM.
    """

    aspect: Aspect
    again: float
    problem: Verdict | None = None
    leaf: Leaf | None = None
    authority: str = ""


def issued(leaf: Leaf, authority: str, now: float) -> Standing:
    """In order until it is due."""
    told = f"Valid until {_time(leaf.ends)}; renewed from {_time(renewal(leaf))}."
    return Standing(_aspect("True", c.ISSUED, told), max(renewal(leaf) - now, 0.0), None, leaf, authority)


def outlived(leaf: Leaf, authority: str, reason: str) -> Standing:
    """Another issuer is to sign it, and has not yet: until then, or until it ends, the agent goes on with it."""
    told = (
        f"The certificate of before is in use, which ends at {_time(leaf.ends)}, and no other is issued yet: {reason}"
    )
    return Standing(_aspect("False", c.NOT_ISSUED, told), _RETRY_SECONDS, None, leaf, authority)


def expiring(leaf: Leaf, authority: str, reason: str) -> Standing:
    """It is due and could not be renewed; until it ends the agent goes on with it."""
    told = f"Ends at {_time(leaf.ends)} and could not be renewed yet: {reason}"
    return Standing(_aspect("False", c.EXPIRING, told), _RETRY_SECONDS, None, leaf, authority)


def not_issued(reason: str) -> Standing:
    """There is none."""
    told = f"The agent has no certificate yet: {reason}"
    problem = Verdict.problem(c.CERTIFICATE_NOT_ISSUED, told)
    return Standing(_aspect("False", c.NOT_ISSUED, told), _RETRY_SECONDS, problem)


def awaited(reason: str) -> Standing:
    """It is being issued."""
    told = f"The certificate is being issued: {reason}"
    return Standing(_aspect("Unknown", c.NOT_ISSUED, told), 1.0, Verdict.moving(c.PROGRESSING, told))


def not_permitted(secret: str, namespace: str, grant: str) -> Standing:
    """The operator may not use Secrets in the agent's namespace; `grant` is the command that changes this."""
    told = (
        f"The operator may not keep the certificate in the Secret {secret}. To let it use Secrets in the namespace "
        f"{namespace}: {grant}"
    )
    problem = Verdict.problem(c.SECRETS_NOT_PERMITTED, told)
    return Standing(_aspect("False", c.NOT_ISSUED, told), _GRANT_SECONDS, problem)


def unneeded() -> Aspect:
    """The agent speaks plain HTTP."""
    return _aspect("Unknown", "", "")


def _aspect(truth: c.Truth, reason: str, message: str) -> Aspect:
    return Aspect(c.CERTIFICATE_READY, truth, reason, message)


def _time(seconds: float) -> str:
    return times.written(datetime.fromtimestamp(seconds, UTC))
