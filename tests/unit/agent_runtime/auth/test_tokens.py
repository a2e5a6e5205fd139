from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest

from agent_runtime import outbound
from agent_runtime.auth import jwks
from agent_runtime.auth.principal import Principal
from agent_runtime.auth.tokens import Tokens
from agent_runtime.errors import AuthenticationError, UnavailableError
from agent_runtime.spec.auth import JWTIssuer
from fakes.issuer import ISSUER, Issuer, issuing


@asynccontextmanager
async def _tokens(issuer: Issuer, **more: Any) -> AsyncIterator[Tokens]:
    spec = {"issuer": ISSUER, "jwksURL": issuer.url, "audiences": ["apm", "other"], **more}
    async with outbound.client() as http:
        yield Tokens([JWTIssuer.model_validate(spec)], http)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_names_its_caller(algorithm):
    async with issuing(algorithm) as issuer, _tokens(issuer) as tokens:
        assert await tokens.principal(issuer.token(algorithm)) == Principal("crm", "", "jwt", ISSUER)
        assert await tokens.principal(issuer.token(algorithm, header={"kid": None})) is not None
        assert issuer.requests == 1


async def test_the_claims_that_name_the_caller_can_be_chosen():
    async with (
        issuing("ES256") as issuer,
        _tokens(issuer, accountClaim="azp", userClaim="email") as tokens,
    ):
        token = issuer.token("ES256", azp="portal", email="ann@example.com")
        assert await tokens.principal(token) == Principal("portal", "ann@example.com", "jwt", ISSUER)
        for odd in (None, "", 7, ["portal"]):
            with pytest.raises(AuthenticationError, match="its claim `azp` has to be text"):
                await tokens.principal(issuer.token("ES256", azp=odd, email="ann@example.com"))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": time.time() - 60}, "it has ended"),
        ({"nbf": time.time() + 3600}, "it does not hold yet"),
        ({"aud": "elsewhere"}, "another audience"),
        ({"aud": None}, "needs the claims"),
        ({"exp": None}, "needs the claims"),
        ({"exp": "soon"}, "not valid"),
        ({"exp": []}, "not valid"),
        ({"exp": 1e400}, "not valid"),
        ({"aud": {"a": 1}}, "not valid|another audience"),
        ({"sub": 7}, "not valid"),
    ],
)
async def test_a_token_that_does_not_hold_is_refused(claims, reason):
    async with issuing("ES256") as issuer, _tokens(issuer) as tokens:
        with pytest.raises(AuthenticationError, match=reason):
            await tokens.principal(issuer.token("ES256", **claims))


async def test_clocks_may_differ_by_half_a_minute():
    async with issuing("ES256") as issuer, _tokens(issuer) as tokens:
        assert await tokens.principal(issuer.token("ES256", exp=time.time() - 20, nbf=time.time() + 20))


async def test_signatures_that_prove_nothing_are_refused():
    async with issuing("ES256", "RS256") as issuer, issuing("ES256") as stranger, _tokens(issuer) as tokens:
        good = issuer.token("ES256")
        head, body, signature = good.split(".")
        public = json.dumps(jwt.get_algorithm_by_name("RS256").to_jwk(issuer.keys["RS256"][1].public_key()))
        claims = {"iss": ISSUER, "aud": "apm", "sub": "crm", "exp": time.time() + 600}
        forged = [
            stranger.token("ES256"),
            f"{head}.{body}.",
            f"{head}.{_part({**claims, 'sub': 'admin'})}.{signature}",
            f"{_part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
            jwt.encode(claims, public.encode(), "HS256", headers={"kid": "RS256"}),
            issuer.token("ES256", header={"kid": "RS256"}),
            issuer.token("ES256", header={"kid": "unknown"}),
            issuer.token("ES256", header={"crit": ["exp"]}),
            f"{'[' * 5000}.{body}.{signature}",
            f"{_part(7)}.{body}.{signature}",
        ]
        for token in forged:
            with pytest.raises(AuthenticationError):
                await tokens.principal(token)
        assert await tokens.principal(good)


async def test_an_issuer_with_several_entries_is_read_by_that_of_the_audience():
    async with issuing("ES256") as issuer, outbound.client() as http:
        entries = [
            {"issuer": ISSUER, "jwksURL": issuer.url, "audiences": ["people"], "userClaim": "email"},
            {"issuer": ISSUER, "jwksURL": issuer.url, "audiences": ["machines"], "accountClaim": "azp"},
        ]
        tokens = Tokens([JWTIssuer.model_validate(each) for each in entries], http)
        person = issuer.token("ES256", aud="people", email="ann@example.com")
        assert await tokens.principal(person) == Principal("crm", "ann@example.com", "jwt", ISSUER)
        machine = issuer.token("ES256", aud=["x", "machines"], azp="portal")
        assert await tokens.principal(machine) == Principal("portal", "", "jwt", ISSUER)
        for odd in ("elsewhere", {"people": 1}, [["people"]], 7):
            with pytest.raises(AuthenticationError):
                await tokens.principal(issuer.token("ES256", aud=odd))
        assert issuer.requests == 1


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", f"a.{'W1tb' * 3000}.c", "a.W10.c", "a.e30.c", "ä.ö.ü"])
async def test_what_is_no_token_of_the_issuer_is_left_to_others(token):
    async with issuing("ES256") as issuer, _tokens(issuer) as tokens:
        assert await tokens.principal(token) is None
        assert await tokens.principal(issuer.token("ES256", iss="https://other.example.com")) is None
        assert issuer.requests == 0


async def test_a_new_key_is_found_and_an_old_one_forgotten(monkeypatch):
    monkeypatch.setattr(jwks, "_PAUSE", 0.0)
    async with issuing("ES256") as issuer, _tokens(issuer) as tokens:
        old = issuer.token("ES256")
        assert await tokens.principal(old)
        issuer.make_key("next")
        assert await tokens.principal(issuer.token("next"))
        assert issuer.requests == 2
        del issuer.keys["ES256"]
        monkeypatch.setattr(jwks, "_FRESH", 0.0)
        with pytest.raises(AuthenticationError, match="no such key"):
            await tokens.principal(old)


async def test_unknown_keys_are_asked_for_once_in_a_while():
    async with issuing("ES256") as issuer, _tokens(issuer) as tokens:
        for number in range(20):
            with pytest.raises(AuthenticationError):
                await tokens.principal(issuer.token("ES256", header={"kid": f"unknown-{number}"}))
        assert issuer.requests == 1


async def test_an_issuer_that_is_away_is_no_reason_to_refuse(monkeypatch):
    monkeypatch.setattr(jwks, "_FAILED_PAUSE", 0.0)
    async with issuing("ES256") as issuer, _tokens(issuer) as tokens:
        issuer.status = 500
        with pytest.raises(UnavailableError, match="can't be had"):
            await tokens.principal(issuer.token("ES256"))
        issuer.status = 200
        assert await tokens.principal(issuer.token("ES256"))
        issuer.status = 500
        monkeypatch.setattr(jwks, "_FRESH", 0.0)
        monkeypatch.setattr(jwks, "_PAUSE", 0.0)
        assert await tokens.principal(issuer.token("ES256"))
        monkeypatch.setattr(jwks, "_KEPT", 0.0)
        with pytest.raises(UnavailableError):
            await tokens.principal(issuer.token("ES256"))


def test_keys_that_do_not_fit_are_left_out():
    odd: list[Any] = [
        7,
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"},
        {"kty": "EC", "crv": "P-384", "x": "a", "y": "b"},
        {"kty": "EC", "crv": "P-256", "x": 1, "y": []},
        {"kty": "OKP", "crv": "Ed25519", "x": "short"},
    ]
    assert jwks._keys({"keys": odd}) == []


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
