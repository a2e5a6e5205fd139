from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration
from agent_runtime.spec.secret import SecretKeyRef

DatabaseName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,63}$")]


class MongoDBSpec(SpecModel):
    """The MongoDB that holds an agent's threads, runs and checkpoints."""

    uri_secret_ref: SecretKeyRef = Field(
        description=("Secret key that holds the connection string, such as `mongodb://user:password@host:27017/`.")
    )
    database: DatabaseName = Field(default="apm", description="Database for the agent's collections.")


class StateSpec(SpecModel):
    """Where conversations are kept, and for how long."""

    mongodb: MongoDBSpec = Field(description="MongoDB that holds the agent's threads, runs and checkpoints.")
    ttl: Duration | None = Field(
        default=None,
        description=(
            "A thread that was not written to for this long is removed, such as `720h`. Without it, kept for ever."
        ),
    )
