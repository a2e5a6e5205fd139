"""Deviations that somebody has accepted, by an annotation on the agent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apm_operator.kinds import GROUP

ACCEPT = f"{GROUP}/audit-accept"
"""Annotation: `id: reason`, several separated by `;` or line breaks. Without a reason nothing is accepted."""


def accepted(annotations: Mapping[str, str]) -> dict[str, str]:
    """The reason by the deviation's id."""
    entries = (entry.partition(":") for entry in re.split(r"[;\n]", annotations.get(ACCEPT, "")))
    return {name.strip(): reason.strip() for name, _, reason in entries if name.strip() and reason.strip()}
