"""A namespace in which agents have certificates."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING, Any

import httpx

from apm_operator.pki import certificates
from integration.operators import HOME, eventually, operator
from integration.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apm_operator.pki.certificates import Leaf
    from integration.operators import Operator

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


def asker(
    shop: CertificateSpace, running: Operator, folder: Path, pair: bytes = b""
) -> Callable[[str], dict[str, Any]]:
    """Asks as the agent's pods do: trusting what its ConfigMap says, with the certificate in its Secret or another."""
    data = shop.get("secret", "one-tls")["data"]
    file = folder / "pair.pem"
    file.write_bytes(pair or b"".join(base64.b64decode(data[name]) for name in ("tls.crt", "tls.key")))
    context = ssl.create_default_context(cadata=shop.trusted())
    context.load_cert_chain(file)
    port = next(line["https"] for line in running.lines() if line["event"] == "started")
    host = f"{shop.namespace}.{HOME}.svc"

    def ask(token: str) -> dict[str, Any]:
        transport = httpx.HTTPTransport(verify=context)
        with httpx.Client(transport=transport) as client:
            try:
                answer = client.post(
                    f"https://127.0.0.1:{port}/tokenreviews",
                    json={"token": token, "audience": "apm"},
                    extensions={"sni_hostname": host},
                )
            except httpx.TransportError:
                return {}
            return dict(answer.json())

    return ask
