from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


def claimed(token: str) -> Mapping[str, Any]:
    """What a token says of itself, not verified; nothing if it is no token of this kind."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims and signature (RFC 7519, 3)
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
