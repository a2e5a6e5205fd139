"""What an agent has to do with events."""

from __future__ import annotations

from pydantic import Field

from agent_runtime.spec.approvers import ApproversSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration, ExpressionText, Identifier, NodeName
from agent_runtime.spec.sinks import SinkSpec

TYPE_DESCRIPTION = "Type of the events; one that ends with `*` stands for all that begin so."
SOURCE_DESCRIPTION = "Source of the events; one that ends with `*` stands for all that begin so. Without it, any."


class StartSpec(SpecModel):
    """The run that an event starts."""

    message: str | None = Field(
        default=None,
        min_length=1,
        max_length=16384,
        description="Message of a person that joins the channel `messages`; `{{ ... }}` holds CEL over `event`.",
    )
    input: dict[Identifier, ExpressionText] | None = Field(
        default=None, min_length=1, max_length=32, description="Channel to CEL expression over `event`."
    )
    thread_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description=(
            "CEL expression over `event`; events of one sender with the same key go to the same thread, one after the "
            "other. Without it, each event has a thread of its own."
        ),
    )


class ResumeSpec(SpecModel):
    """The thread that an event goes on with."""

    thread_key: str = Field(
        min_length=1,
        max_length=2048,
        description="CEL expression over `event`: the `threadKey` of the event whose run waits in that thread.",
    )
    answer: str = Field(
        default="event",
        min_length=1,
        max_length=2048,
        description="CEL expression over `event` whose value is the answer that the thread waits for.",
    )


class SubscriptionSpec(SpecModel):
    """Events that start runs, or resume some that wait."""

    name: NodeName = Field(description="Name of the subscription, under which its dead letters are listed.")
    type: str = Field(min_length=1, max_length=256, description=TYPE_DESCRIPTION)
    source: str | None = Field(default=None, min_length=1, max_length=1024, description=SOURCE_DESCRIPTION)
    filter: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="CEL expression over `event` that is true for the events wanted.",
    )
    start: StartSpec | None = Field(
        default=None, description="Start a run for each event. Either this or `resume` is set."
    )
    resume: ResumeSpec | None = Field(
        default=None, description="Answer what a thread waits for. Either this or `start` is set."
    )


class EventsSpec(SpecModel):
    """Events that the agent gets, and passes on."""

    source: str | None = Field(
        default=None,
        pattern=r"^[!-~]+$",
        max_length=1024,
        description="Source of the events that `emit` nodes make. By default `/agents/namespace/name`.",
    )
    subscribe: tuple[SubscriptionSpec, ...] = Field(
        default=(), max_length=32, description="Events that start runs, or resume some that wait."
    )
    sinks: tuple[SinkSpec, ...] = Field(default=(), max_length=32, description="Where events are pushed to.")
    stewards: ApproversSpec | None = Field(
        default=None,
        description=(
            "Callers who may list, replay and discard everybody's dead letters, and read the events in them. Others "
            "have those of their own events."
        ),
    )
    attempts: int = Field(
        default=8,
        ge=1,
        le=100,
        description="How often an event is delivered to one that fails each time, before it becomes a dead letter.",
    )
    max_pending: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description=(
            "Events that wait to be delivered, over all pods. More from outside are refused with 429 from nine tenths "
            "on, of which one sender alone may have nine tenths, and half while others have some; `emit` nodes fail "
            "with `RateLimit` at the limit."
        ),
    )
    retention: Duration = Field(
        default="24h",
        description="How long an event that everybody has got is remembered, so that its twins are known.",
    )
