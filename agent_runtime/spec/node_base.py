"""What the steps of a workflow have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.edge import Next
from agent_runtime.spec.scalars import Duration, ExpressionText, Identifier, NodeName, Pause

ErrorKind = Literal[
    "Timeout",
    "Connection",
    "RateLimit",
    "5xx",
    "Any",
    "TRANSIENT",
    "PERMANENT",
    "RATE_LIMIT",
    "TIMEOUT",
    "AUTHENTICATION",
]
"""Kinds of failures, and categories of kinds."""


class RetrySpec(SpecModel):
    """When and how often a failed node runs again."""

    attempts: int = Field(default=3, ge=1, le=20, description="Attempts in all, the first one included.")
    initial: Pause = Field(default="500ms", description="Pause before the second attempt.")
    factor: float = Field(default=2.0, ge=1, le=10, description="Factor by which the pause grows.")
    max: Pause = Field(default="30s", description="Longest pause; a `Retry-After` that is longer ends the attempts.")
    jitter: bool = Field(
        default=True, description="Add up to a second to each pause, so that many runs don't come back at once."
    )
    errors: tuple[ErrorKind, ...] = Field(
        default=("Timeout", "Connection", "RateLimit", "5xx"),
        max_length=10,
        description=(
            "Kinds of failure that are tried again, or categories: TRANSIENT (Connection, 5xx, CircuitOpen), TIMEOUT, "
            "RATE_LIMIT, AUTHENTICATION, PERMANENT; `Any` is all of them."
        ),
    )


class NodeBase(SpecModel):
    """What all nodes have."""

    name: NodeName = Field(description="Name of the node, unique in its workflow; not `end`.")
    next: Next | None = Field(
        default=None,
        description=(
            "Where to go next: a node's name or `end`; a list of them, which run in parallel; "
            "`{switch: [{when: CEL, to: node}], else: node}`; `{forEach: CEL, as: name, to: node, max: 20}`; "
            "or `{handoff: [nodes], else: node}`. Without it, the workflow ends here, unless a node `needs` this one."
        ),
    )
    needs: tuple[NodeName, ...] = Field(
        default=(),
        max_length=32,
        description="Nodes that must all have finished before this one starts (a join).",
    )
    defer: bool = Field(
        default=False,
        description="Start only when nothing else is left to run: gathers the results of a forEach.",
    )
    retry: RetrySpec | None = Field(
        default=None, description="When the node is tried again; overrides `defaults.retry`."
    )
    timeout: Duration | None = Field(
        default=None, description="Time limit of one attempt; overrides `defaults.timeout`."
    )
    fallback: dict[Identifier, ExpressionText] | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        description=(
            "Channel to CEL expression over `state`, written when the node has failed for good; the run then goes on "
            "as if it had not. Either this or `onError`."
        ),
    )
    on_error: NodeName | None = Field(
        default=None,
        description="Node to go to, or `end`, when the node has failed for good; the run then goes on.",
    )
