from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from integration.operators import agent

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane


@dataclass(frozen=True)
class Shop:
    """One test's namespace, and what a user does in it."""

    plane: ControlPlane
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.plane.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def apply(self, *items: dict[str, Any]) -> None:
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=stdin)

    def agent(self, name: str = "one", **spec: Any) -> None:
        self.apply(agent(name, self.namespace, **spec))

    def get(self, kind: str, name: str = "one") -> dict[str, Any]:
        """The object; {} where it does not exist."""
        found = self.kubectl("get", kind, name, "--ignore-not-found", "--output=json")
        return json.loads(found) if found else {}
