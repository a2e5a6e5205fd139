from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel

SECRETS_DIR = Path("/var/run/secrets/apm.valeo-neuroerp.com")
"""Where an agent's pods find the keys of the Secrets that its resource refers to."""

API_KEYS_DIR = Path("/var/run/apm/api-keys")
"""Where they find the Secret of `spec.auth.apiKeys`, as a whole: a file for each caller."""

SecretName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)]


class SecretRef(SpecModel):
    """A Secret of the same namespace, with all its keys."""

    name: SecretName = Field(description="Name of the Secret, in the same namespace.")


class SecretKeyRef(SpecModel):
    """One key of a Secret of the same namespace."""

    name: SecretName = Field(description="Name of the Secret, in the same namespace.")
    key: SecretKey = Field(description="Key inside the Secret whose value is used.")

    def path(self, secrets_dir: Path = SECRETS_DIR) -> Path:
        """The file that holds the value inside an agent's pod."""
        return secrets_dir / self.name / self.key
