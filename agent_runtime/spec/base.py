from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class SpecModel(BaseModel):
    """Base of everything a user writes: immutable, camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        # Most models are parts of others, which build what they need of them by themselves.
        defer_build=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )
