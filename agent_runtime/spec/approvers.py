"""Who may answer an approval besides the caller whose run asks."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.auth import ClaimName, ServiceAccountPattern
from agent_runtime.spec.base import SpecModel

KeyName = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
ClaimValue = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class TokenApprover(SpecModel):
    """Callers by what their token says; all that is set has to hold."""

    issuer: str | None = Field(
        default=None, max_length=512, description="The claim `iss`; without it, any issuer of `auth.jwt`."
    )
    account: ClaimValue | None = Field(default=None, description="The claim that `accountClaim` names.")
    user: ClaimValue | None = Field(default=None, description="The claim that `userClaim` names.")
    claims: dict[ClaimName, ClaimValue] = Field(
        default_factory=dict,
        max_length=8,
        description="Claims and their values, such as `groups: managers`; of a list, one has to be the value.",
    )


class ApproversSpec(SpecModel):
    """Callers who see a question and may answer it, and see nothing else of its thread."""

    agents: tuple[ServiceAccountPattern, ...] = Field(
        default=(),
        max_length=32,
        description="Other agents, known by their certificates: `namespace/name`, or `namespace/*`.",
    )
    service_accounts: tuple[ServiceAccountPattern, ...] = Field(
        default=(), max_length=32, description="ServiceAccounts that `auth.serviceAccounts` lets in, likewise."
    )
    api_keys: tuple[KeyName, ...] = Field(
        default=(), max_length=32, description="Callers with a key of `auth.apiKeys`, by their names."
    )
    tokens: tuple[TokenApprover, ...] = Field(
        default=(), max_length=32, description="Callers with a token of `auth.jwt`, by what it says."
    )

    @property
    def marks(self) -> tuple[str, ...]:
        """Each of them as one text, see `auth.approvers`."""
        tokens = (one.model_dump(mode="json", exclude_defaults=True) for one in self.tokens)
        return (
            *(f"mtls:{name}" for name in self.agents),
            *(f"serviceAccount:{name}" for name in self.service_accounts),
            *(f"apiKey:{name}" for name in self.api_keys),
            *(f"jwt:{json.dumps(one, sort_keys=True)}" for one in tokens),
        )
