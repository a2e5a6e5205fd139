"""Where a workflow goes after a node."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Identifier, NodeName

Target = NodeName
"""A node's name, or `end`."""


class Case(SpecModel):
    """One branch of a switch."""

    when: str = Field(min_length=1, max_length=2048, description="CEL condition over `state`.")
    to: Target = Field(description="Node to go to when the condition holds, or `end`.")


class Switch(SpecModel):
    """Goes to the first branch whose condition holds."""

    switch: tuple[Case, ...] = Field(min_length=1, max_length=32, description="Branches, tried in order.")
    otherwise: Target = Field(alias="else", description="Node to go to when no condition holds, or `end`.")


class ForEach(SpecModel):
    """Runs a node once for each item of a list, in parallel."""

    for_each: str = Field(min_length=1, max_length=2048, description="CEL expression over `state` that yields a list.")
    as_: Identifier = Field(
        default="item",
        alias="as",
        description="Name of the item in the target's expressions: `state.<name>`.",
    )
    to: NodeName = Field(description="Node to run for each item.")
    max: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Largest number of items; a longer list fails the run. Required.",
    )


class Handoff(SpecModel):
    """Lets the model of this node choose who goes on."""

    handoff: tuple[NodeName, ...] = Field(
        min_length=1,
        max_length=32,
        description="Nodes that the model may hand over to, each offered as a tool.",
    )
    otherwise: Target = Field(
        default="end", alias="else", description="Node to go to when the model hands over to none, or `end`."
    )


_SHAPES = (
    "a node's name, `end`, a list of nodes, `{switch: [{when, to}], else}`, `{forEach, to, max}` "
    "or `{handoff: [nodes]}`"
)


def _shape(value: object) -> str | None:
    match value:
        case str():
            return "(node)"
        case list() | tuple():
            return "(list)"
        case {"switch": _} | Switch():
            return "(switch)"
        case {"forEach": _} | {"for_each": _} | ForEach():
            return "(forEach)"
        case {"handoff": _} | Handoff():
            return "(handoff)"
        case _:
            return None


Next = Annotated[
    Annotated[Target, Tag("(node)")]
    | Annotated[tuple[Target, ...], Field(min_length=1, max_length=32), Tag("(list)")]
    | Annotated[Switch, Tag("(switch)")]
    | Annotated[ForEach, Tag("(forEach)")]
    | Annotated[Handoff, Tag("(handoff)")],
    Discriminator(_shape, custom_error_type="next_shape", custom_error_message=f"Write {_SHAPES}"),
]
"""One target, a list of targets that run in parallel, or a rule that chooses."""
