"""Callers with a token (JWT) of an identity provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt

from agent_runtime.auth.claims import claimed
from agent_runtime.auth.jwks import ALGORITHMS, KeySet
from agent_runtime.auth.principal import Principal
from agent_runtime.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import httpx

    from agent_runtime.spec.auth import JWTIssuer

_LEEWAY = 30.0
"""Seconds that clocks may differ."""
_ODD = (ArithmeticError, RecursionError, TypeError, ValueError)
"""What odd values in a token raise besides the library's own errors."""
_REFUSED = "the token is refused"


class Tokens:
    """Checks tokens of the configured issuers."""

    def __init__(self, issuers: Iterable[JWTIssuer], http: httpx.AsyncClient) -> None:
        keys: dict[str, KeySet] = {}
        self._issuers: dict[str, list[tuple[JWTIssuer, KeySet]]] = {}
        for each in issuers:
            of_url = keys.setdefault(each.jwks_url, KeySet(each.jwks_url, http))
            self._issuers.setdefault(each.issuer, []).append((each, of_url))

    async def principal(self, token: str) -> Principal | None:
        """The caller that a token names; None if it is of no configured issuer.

        Of several entries for its issuer, the first counts that has its audience.

        Raises:
            AuthenticationError: The token is not valid here.
            UnavailableError: The issuer's keys can't be had.
        """
        claims = claimed(token)
        entries = self._issuers.get(str(claims.get("iss")))
        if entries is None:
            return None
        told = claims.get("aud")
        meant_for = told if isinstance(told, list) else [told]
        issuer, keys = next((one for one in entries if any(each in meant_for for each in one[0].audiences)), entries[0])
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise AuthenticationError(f"{_REFUSED}: sign it with one of {', '.join(ALGORITHMS)}")
            for key in await keys.candidates(header.get("kid"), header["alg"]):
                return _principal(issuer, _claims(issuer, token, key))
        except (jwt.PyJWTError, *_ODD) as error:
            raise AuthenticationError(f"{_REFUSED}: {_reason(error)}") from error
        raise AuthenticationError(f"{_REFUSED}: the issuer has no such key")


def _claims(issuer: JWTIssuer, token: str, key: jwt.PyJWK) -> dict[str, Any]:
    return jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        audience=issuer.audiences,
        issuer=issuer.issuer,
        leeway=_LEEWAY,
        options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
    )


def _principal(issuer: JWTIssuer, claims: Mapping[str, Any]) -> Principal:
    account = claims.get(issuer.account_claim)
    user = claims.get(issuer.user_claim) if issuer.user_claim else ""
    for name, value in ((issuer.account_claim, account), (issuer.user_claim, user)):
        if name and not (isinstance(value, str) and value):
            raise AuthenticationError(f"{_REFUSED}: its claim `{name}` has to be text")
    return Principal(str(account), str(user), "jwt", issuer.issuer, claims)


def _reason(error: Exception) -> str:
    """Without what the token holds."""
    reasons: dict[type[jwt.PyJWTError], str] = {
        jwt.ExpiredSignatureError: "it has ended",
        jwt.ImmatureSignatureError: "it does not hold yet",
        jwt.InvalidAudienceError: "it is meant for another audience",
        jwt.MissingRequiredClaimError: "it needs the claims exp, iss and aud",
        jwt.InvalidSignatureError: "its signature is wrong",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "it is not valid")
