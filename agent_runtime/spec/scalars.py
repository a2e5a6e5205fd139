"""Strings with a grammar of their own: names, durations."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

IDENTIFIER_PATTERN = r"^[a-z][a-zA-Z0-9_]{0,62}$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
DURATION_PATTERN = r"^([0-9]+(ms|s|m|h|d))+$"
END = "end"
"""The target that ends a workflow; no node may have this name."""

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER_PATTERN, max_length=63)]
"""The name of a state channel: usable as a field in a CEL expression."""

NodeName = Annotated[str, StringConstraints(pattern=DNS_LABEL_PATTERN, max_length=63)]
"""The name of a node, a model, a tool or a sub-workflow."""

ExpressionText = Annotated[str, StringConstraints(max_length=2048)]
"""A CEL expression that stands as the value of a map."""

ObjectName = Annotated[str, StringConstraints(pattern=DNS_LABEL_PATTERN, max_length=63)]
"""The name of a Kubernetes object that has to be a DNS label."""

NOT_ZERO = "must be longer than zero: write such as `30s`, or leave it out"


def _longer_than_zero(duration: str) -> str:
    if not seconds(duration):
        raise ValueError(NOT_ZERO)
    return duration


Pause = Annotated[str, StringConstraints(pattern=DURATION_PATTERN, max_length=32)]
"""A length of time such as `500ms`, `30s`, `5m`, `1h30m` or `30d`, which may be zero."""

Duration = Annotated[Pause, AfterValidator(_longer_than_zero), Field(title="Duration")]
"""A length of time longer than zero. The title is the name under which the CRD's rules know the type."""

_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: Pause) -> float:
    """The length of a duration in seconds."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
