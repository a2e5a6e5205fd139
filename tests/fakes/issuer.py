"""An identity provider on loopback."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

ISSUER = "https://idp.example.com"
_MAKERS: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@dataclass
class Issuer:
    """Signs tokens, and publishes its keys at `url`. `requests` counts how often they were asked for."""

    url: str = ""
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict)
    requests: int = 0
    status: int = 200

    def make_key(self, kid: str, algorithm: str = "ES256") -> None:
        """A new key, published at once."""
        self.keys[kid] = (algorithm, _MAKERS[algorithm]())

    def token(self, kid: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is valid unless claims say otherwise; a claim of None is left out."""
        algorithm, key = self.keys[kid]
        full = {"iss": ISSUER, "aud": "apm", "sub": "crm", "exp": time.time() + 600, **claims}
        kept = {name: value for name, value in full.items() if value is not None}
        headers = {name: value for name, value in {"kid": kid, **(header or {})}.items() if value is not None}
        return jwt.encode(kept, key, algorithm, headers=headers)

    async def publish(self, _: Request) -> JSONResponse:
        """The key set."""
        self.requests += 1
        return JSONResponse(self.key_set, self.status)

    @property
    def key_set(self) -> dict[str, Any]:
        """The public keys, as JWKS."""
        return {"keys": [_public(kid, *key) for kid, key in self.keys.items()]}


@asynccontextmanager
async def issuing(*algorithms: str) -> AsyncIterator[Issuer]:
    """An issuer with a key of each algorithm, named after it."""
    issuer = Issuer()
    for algorithm in algorithms:
        issuer.make_key(algorithm, algorithm)
    async with serving(Starlette(routes=[Route("/keys", issuer.publish)])) as url:
        issuer.url = f"{url}/keys"
        yield issuer


def _public(kid: str, algorithm: str, key: Any) -> dict[str, Any]:
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig"}
