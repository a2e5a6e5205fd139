"""Whether a child of an agent says what the operator has applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apm_operator.kinds import APPLIED_HASH, NETWORK_POLICIES, Resource
from apm_operator.manifests.agent import canonical, digest, owned
from apm_operator.queue import Key

_NOT_APPLIED = ("apiVersion", "kind", "metadata", "status")


def intact(resource: Resource, body: Mapping[str, Any], agent: Mapping[str, Any]) -> bool:
    """Whether an object is the agent's child of that kind, and nobody has changed its content since.

    The operator notes the digest of what it applies. One that somebody has changed along with the content is not seen.
    """
    metadata, owner = body["metadata"], agent["metadata"]
    if metadata["name"] != owner["name"] or metadata.get("namespace") != owner["namespace"]:
        return False
    content = {name: value for name, value in body.items() if name not in _NOT_APPLIED}
    if resource == NETWORK_POLICIES:
        # The API server drops empty lists.
        content["spec"] = {"ingress": [], "egress": [], **content["spec"]}
    key = Key(owner["namespace"], owner["name"])
    applied = owned(resource, metadata["name"], key, owner["uid"], **content)
    return (metadata.get("annotations") or {}).get(APPLIED_HASH) == digest(canonical(applied))
