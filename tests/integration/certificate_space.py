"""A namespace in which agents have certificates."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from apm_operator.pki import certificates
from integration.operators import eventually, operator
from integration.shop import Shop

if TYPE_CHECKING:
    from pathlib import Path

    from apm_operator.pki.certificates import Leaf

TLS = {"mode": "Enabled"}


class CertificateSpace(Shop):
    """With what these tests ask of it."""

    def agent(self, name: str = "one", **spec: Any) -> None:
        super().agent(name, **{"tls": TLS, "auth": {"anonymous": True}, **spec})

    def condition(self, kind: str, name: str = "one") -> dict[str, Any]:
        conditions = self.get("agent", name).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {"reason": "", "message": ""})

    def becomes(self, kind: str, reason: str, name: str = "one", seconds: float = 30) -> dict[str, Any]:
        eventually(f"{kind} is {reason}", lambda: self.condition(kind, name)["reason"] == reason, seconds)
        return self.condition(kind, name)

    def leaf(self, name: str = "one-tls") -> Leaf:
        return certificates.read(base64.b64decode(self.get("secret", name)["data"]["tls.crt"]))

    def trusted(self, name: str = "one") -> str:
        return str(self.get("configmap", f"{name}-trust").get("data", {}).get("ca.crt", ""))

    def operator(self, log: Path, **settings: str) -> Any:
        return operator(self.plane.kubeconfig, self.namespace, log, **settings)
