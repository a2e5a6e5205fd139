"""Times as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def written(value: datetime) -> str:
    """In UTC, to the second, such as `2026-05-01T02:00:00Z` (RFC 3339)."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
