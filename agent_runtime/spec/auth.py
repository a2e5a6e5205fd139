from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.secret import SecretRef

Audience = Annotated[str, StringConstraints(min_length=1, max_length=253)]
ClaimName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
ServiceAccountPattern = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$", max_length=320),
]
"""`namespace/name`, or `namespace/*` for all ServiceAccounts of a namespace."""


class APIKeysSpec(SpecModel):
    """Callers that send a key of their own."""

    secret_ref: SecretRef = Field(
        description=(
            "Secret whose keys are the callers' names, and whose values are what they send, as `X-Api-Key` or as a "
            "bearer token; of at least 16 characters. A new value counts without a restart."
        )
    )


class JWTIssuer(SpecModel):
    """Callers that bring a token of an identity provider, signed by RS256, ES256 or EdDSA."""

    issuer: str = Field(min_length=1, max_length=512, description="The claim `iss` of the tokens.")
    jwks_url: str = Field(
        alias="jwksURL",
        pattern=(
            r"^(https://[^/?#@\s]+|http://(127\.0\.0\.1|[-a-z0-9.]+\.svc(\.cluster\.local)?)(:[0-9]+)?)(/[^?#\s]*)?$"
        ),
        max_length=2048,
        description=(
            "Address of the issuer's keys (a JSON Web Key Set). Plain `http` only inside of the cluster, such as "
            "`http://idp.identity.svc/keys`."
        ),
    )
    audiences: tuple[Audience, ...] = Field(
        min_length=1, max_length=16, description="A token has to be meant for one of these, by its claim `aud`."
    )
    account_claim: ClaimName = Field(default="sub", description="Claim that names the caller.")
    user_claim: ClaimName | None = Field(
        default=None, description="Claim that names the person for whom the caller asks; each has their own threads."
    )


class ServiceAccountsSpec(SpecModel):
    """Callers inside of the cluster that bring the token of their ServiceAccount."""

    audience: Audience = Field(default="apm", description="The audience that the tokens have to be made for.")
    allow: tuple[ServiceAccountPattern, ...] = Field(
        min_length=1,
        max_length=256,
        description="Who may call: `namespace/name`, or `namespace/*` for all of a namespace.",
    )


class AuthSpec(SpecModel):
    """What proof callers may bring beside the certificate of another agent."""

    anonymous: bool = Field(
        default=False,
        description="Let in who brings no proof. All who come so share their threads.",
    )
    api_keys: APIKeysSpec | None = Field(default=None, description="Callers that send a key of their own.")
    jwt: tuple[JWTIssuer, ...] = Field(
        default=(), max_length=16, description="Identity providers whose tokens callers may bring."
    )
    service_accounts: ServiceAccountsSpec | None = Field(
        default=None, description="Callers inside of the cluster that bring the token of their ServiceAccount."
    )
