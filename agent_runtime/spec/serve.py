from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel

PublicHost = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]


class ServeSpec(SpecModel):
    """The protocols that the agent speaks beside its own API and A2A."""

    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        max_length=2048,
        description=(
            "Address under which clients reach the agent, such as `https://agents.example.com/front-desk`, where that "
            "is not its Service: its A2A card tells it."
        ),
    )
    hosts: tuple[PublicHost, ...] = Field(
        default=(),
        max_length=32,
        description=(
            "Names beside those of the Service by which clients reach the agent; without `url`, the A2A card tells "
            "each client the one that it uses."
        ),
    )
    mcp: bool = Field(
        default=False,
        description="Be an MCP server at `/mcp`, with the agent as a tool. It takes some 20 MiB of a pod's memory.",
    )
    chat_completions: bool = Field(
        default=True, description="Answer OpenAI's chat completions at `/v1/chat/completions`."
    )
