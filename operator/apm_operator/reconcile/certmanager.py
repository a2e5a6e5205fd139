"""cert-manager as the issuer of an agent's certificate: it is asked by a Certificate, and writes the Secret itself.

The Certificate is read by name and not watched: a cluster may get or lose cert-manager while the operator runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apm_operator.errors import Conflict, Forbidden, NamespaceTerminating, NotFound, QuotaExceeded
from apm_operator.kinds import APPLIED_HASH, CERTIFICATES, SECRETS
from apm_operator.manifests import certificate
from apm_operator.manifests.agent import canonical, digest
from apm_operator.pki import holding
from apm_operator.reconcile import standing
from apm_operator.reconcile.apply import check_owner, write
from apm_operator.reconcile.compare import covers
from apm_operator.reconcile.plan import Manifest
from apm_operator.reconcile.standing import Standing

if TYPE_CHECKING:
    from apm_operator.api.tls import IssuerRef
    from apm_operator.kube import Kube
    from apm_operator.pki.holding import Held, Wanted
    from apm_operator.queue import Key

_BY_CERT_MANAGER = "cert-manager.io/certificate-name"
_PATIENCE_SECONDS = 60.0
_OVERDUE_SECONDS = 120.0
_ABSENT = (
    "spec.tls.issuerRef names an issuer of cert-manager, which this cluster does not have: install cert-manager, or "
    "remove spec.tls.issuerRef to have the operator's own authority issue it"
)
_NO_RIGHT = (
    "spec.tls.issuerRef names an issuer of cert-manager, whose Certificates the operator may not use: set the chart's "
    "certificates.certManager to true"
)


def written_by_it(secret: Mapping[str, Any], key: Key) -> bool:
    """Whether cert-manager wrote a Secret, for this agent."""
    asked = (secret["metadata"].get("annotations") or {}).get(_BY_CERT_MANAGER)
    return bool(asked == certificate.name(key.name))


class CertManager:
    """Asks for certificates, and finds what came of it."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.time) -> None:
        self._kube = kube
        self._clock = clock

    async def look(
        self, key: Key, uid: str, wanted: Wanted, issuer: IssuerRef, secret: Mapping[str, Any] | None
    ) -> Standing:
        """Have cert-manager asked, and tell how the agent's certificate stands.

        Args:
            key: the agent.
            uid: the agent's.
            wanted: what is to be issued.
            issuer: by whom.
            secret: the agent's Secret as it is.

        Raises:
            NameTaken: the Certificate, or the Secret, is somebody else's.
            ApiError: the API server refused.
        """
        if secret is not None and not written_by_it(secret, key):
            check_owner(secret, SECRETS, key, uid)
        try:
            asked = await self._ask(key, uid, certificate.request(key, uid, wanted, issuer))
        except (QuotaExceeded, NamespaceTerminating):
            raise
        except Forbidden as error:
            return standing.not_issued(f"{_NO_RIGHT}: {error}")
        if asked is None:
            return standing.not_issued(_ABSENT)
        told, now = _told(asked), self._clock()
        held = _read(secret)
        if held is None or held.leaf is None or held.leaf.subject.uri != wanted.subject.uri or held.leaf.ends <= now:
            asked_at = datetime.fromisoformat(asked["metadata"]["creationTimestamp"]).timestamp()
            return standing.awaited(told) if now - asked_at < _PATIENCE_SECONDS else standing.not_issued(told)
        if now > holding.renewal(held.leaf) + _OVERDUE_SECONDS:
            return standing.expiring(held.leaf, held.authority, told)
        return standing.issued(held.leaf, held.authority, now)

    async def withdraw(self, key: Key, uid: str) -> None:
        """Don't ask for the agent's certificate any more.

        Raises:
            ApiError: the API server refused.
        """
        name = certificate.name(key.name)
        try:
            existing = await self._kube.get(CERTIFICATES, key.namespace, name)
            check_owner(existing, CERTIFICATES, key, uid)
            await self._kube.delete(CERTIFICATES, key.namespace, name, existing["metadata"]["uid"])
        except (NotFound, Conflict):
            return

    async def _ask(self, key: Key, uid: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The Certificate; None where the cluster does not know the kind."""
        mark, name = digest(canonical(body)), certificate.name(key.name)
        body["metadata"]["annotations"] = {APPLIED_HASH: mark}
        manifest = Manifest(CERTIFICATES, name, canonical(body), mark)
        try:
            existing: dict[str, Any] | None = await self._kube.get(CERTIFICATES, key.namespace, name)
        except NotFound:
            existing = None
        if existing is not None:
            check_owner(existing, CERTIFICATES, key, uid)
            marked = (existing["metadata"].get("annotations") or {}).get(APPLIED_HASH) == mark
            if marked and covers(existing["spec"], body["spec"]):
                return existing
        try:
            return await write(self._kube, key, manifest, uid, known=existing is not None)
        except NotFound:
            if await self._kube.served(CERTIFICATES):
                raise
            return None


def _read(secret: Mapping[str, Any] | None) -> Held | None:
    if secret is None:
        return None
    try:
        return holding.read(secret)
    except ValueError:
        return None


def _told(asked: Mapping[str, Any]) -> str:
    """What cert-manager says about a Certificate."""
    conditions = (asked.get("status") or {}).get("conditions") or ()
    said = next((each.get("message") for each in conditions if each.get("type") == "Ready"), "")
    name = asked["metadata"]["name"]
    return f"cert-manager says: {said or 'nothing yet'} (kubectl describe certificate {name} tells more)"
