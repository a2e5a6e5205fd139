"""Objects as the operator leaves them."""

from __future__ import annotations

import copy
from typing import Any

from apm_operator.kinds import APPLIED_HASH, Resource
from apm_operator.manifests.agent import canonical, digest, owned
from apm_operator.queue import Key


def as_applied(resource: Resource, body: dict[str, Any], key: Key, uid: str) -> dict[str, Any]:
    """The child of an agent with the mark by which it is known not to have been changed."""
    content = {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "metadata")}
    made = owned(resource, key.name, key, uid, **copy.deepcopy(content))
    made["metadata"]["annotations"] = {APPLIED_HASH: digest(canonical(made))}
    return made
