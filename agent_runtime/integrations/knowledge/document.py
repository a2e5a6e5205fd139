from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent_runtime.integrations.operation import Line, Metadata, RecordId

DocumentText = Annotated[str, StringConstraints(min_length=1, max_length=500_000)]


class Document(BaseModel):
    """Something to look up. Another one with the same id takes its place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: RecordId
    text: DocumentText
    title: Line | None = None
    source: Line | None = None
    metadata: Metadata = Field(default_factory=dict, max_length=32)
