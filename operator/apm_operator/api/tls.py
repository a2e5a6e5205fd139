"""How an agent's connections are encrypted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import seconds
from apm_operator.api.group import DEFAULT_TLS_MODE

SHORTEST_LIFE, LONGEST_LIFE = "1m", "8760h"
SHORTEST_ISSUED_LIFE = "1h"
"""cert-manager's own limit: https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateSpec"""


def _within(duration: str) -> str:
    if not seconds(SHORTEST_LIFE) <= seconds(duration) <= seconds(LONGEST_LIFE):
        raise ValueError(f"it must be from {SHORTEST_LIFE} to {LONGEST_LIFE}")
    return duration


CertificateLife = Annotated[
    str, StringConstraints(pattern=r"^([0-9]{1,8}(s|m|h))+$", max_length=32), AfterValidator(_within)
]
"""A length of time in the units that Kubernetes' CEL and cert-manager know."""


class IssuerRef(SpecModel):
    """An issuer of cert-manager."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Name of the issuer; an `Issuer` is in the namespace of the AgentDeployment.",
    )
    kind: str = Field(
        default="Issuer",
        pattern=r"^[A-Z][A-Za-z0-9]*$",
        max_length=63,
        description="`Issuer`, `ClusterIssuer`, or the kind of an external issuer.",
    )
    group: str = Field(
        default="cert-manager.io",
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
        description="API group of that kind.",
    )


class Tls(SpecModel):
    """The agent's certificate: who issues it, and for how long."""

    mode: Literal["Enabled", "Disabled"] = Field(
        default=DEFAULT_TLS_MODE,
        description=(
            "`Enabled`: the agent serves HTTPS on port 8443, and shows other agents its own certificate. "
            "`Disabled`: plain HTTP on port 8080; whoever is on the way reads and changes everything."
        ),
    )
    issuer_ref: IssuerRef | None = Field(
        default=None, description="Issuer of cert-manager; by default the operator's own authority."
    )
    duration: CertificateLife = Field(
        default="2160h",
        title="Certificate life",
        description=(
            "Life of the certificate, from `1m` to `8760h` (from `1h` with `issuerRef`); renewed after two thirds of "
            "it. Pods see a new one after a minute or two, so production needs hours."
        ),
    )

    @property
    def enabled(self) -> bool:
        """Whether the agent serves HTTPS."""
        return self.mode == "Enabled"
