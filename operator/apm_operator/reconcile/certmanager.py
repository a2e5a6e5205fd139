"""cert-manager as the issuer of an agent's certificate: it is asked by a Certificate, and writes the Secret itself.

The Certificate is read by name and not watched: a cluster may get or lose cert-manager while the operator runs.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apm_operator.errors import ApiError, Conflict, Forbidden, NamespaceTerminating, NotFound, QuotaExceeded
from apm_operator.kinds import APPLIED_HASH, CERTIFICATE_REQUESTS, CERTIFICATES, SECRETS
from apm_operator.manifests import certificate
from apm_operator.manifests.agent import canonical, digest
from apm_operator.pki import holding
from apm_operator.pki.foreign import readable
from apm_operator.reconcile import standing
from apm_operator.reconcile.apply import check_owner, write
from apm_operator.reconcile.compare import covers
from apm_operator.reconcile.plan import Manifest
from apm_operator.reconcile.standing import Standing

if TYPE_CHECKING:
    from apm_operator.api.tls import IssuerRef
    from apm_operator.kube import Kube
    from apm_operator.pki.certificates import Leaf
    from apm_operator.pki.holding import Wanted
    from apm_operator.queue import Key

_BY_CERT_MANAGER = "cert-manager.io/certificate-name"
_ISSUER_NAME, _ISSUER_KIND, _ISSUER_GROUP = (f"cert-manager.io/issuer-{each}" for each in ("name", "kind", "group"))
_PATIENCE_SECONDS = 60.0
_RENEWING_SECONDS = 5.0
"""When a certificate is due it is cert-manager that renews it, which takes a moment."""
_PRESENT_SECONDS = 300.0
_SAID = 500
"""Characters of what cert-manager says."""
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
        self._present = False
        self._look_at = 0.0

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
        now = self._clock()
        held = _read(secret)
        if secret is None or held is None or held.leaf.subject.uri != wanted.subject.uri or held.leaf.ends <= now:
            told = await self._told(key, asked, issuer)
            asked_at = datetime.fromisoformat(asked["metadata"]["creationTimestamp"]).timestamp()
            return standing.awaited(told) if now - asked_at < _PATIENCE_SECONDS else standing.not_issued(told)
        if not _issued_by(secret, key, issuer):
            return standing.outlived(held.leaf, held.signers, await self._told(key, asked, issuer))
        await self._adopt(key, uid, secret)
        if now > holding.renewal(held.leaf) + _OVERDUE_SECONDS:
            return standing.expiring(held.leaf, held.signers, await self._told(key, asked, issuer))
        found = standing.issued(held.leaf, held.signers, now)
        return replace(found, again=max(found.again, _RENEWING_SECONDS))

    async def may_be_asked(self) -> bool:
        """Whether this cluster has cert-manager; remembered for a while.

        Raises:
            ApiError: the API server can't tell.
        """
        if self._clock() >= self._look_at:
            self._present = await self._kube.served(CERTIFICATES)
            self._look_at = self._clock() + _PRESENT_SECONDS
        return self._present

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

    async def _adopt(self, key: Key, uid: str, secret: Mapping[str, Any]) -> None:
        """Have the Secret go with the agent: cert-manager by itself leaves the key behind."""
        metadata = secret["metadata"]
        if any(owner["uid"] == uid for owner in metadata.get("ownerReferences") or ()):
            return
        with suppress(Conflict):  # it is another one by now
            body = certificate.adopted(key, uid, metadata["uid"])
            await self._kube.apply(SECRETS, key.namespace, metadata["name"], canonical(body))

    async def _told(self, key: Key, asked: Mapping[str, Any], issuer: IssuerRef) -> str:
        """What cert-manager says about a Certificate, and where to look."""
        name, status = asked["metadata"]["name"], asked.get("status") or {}
        said = _message(status, "Issuing", "False")
        if not said:
            with suppress(ApiError):  # an older cert-manager names it otherwise, or the right is not given
                request = f"{name}-{int(status.get('revision') or 0) + 1}"
                said = _message((await self._kube.get(CERTIFICATE_REQUESTS, key.namespace, request))["status"], "Ready")
        said = said or _message(status, "Ready") or "nothing yet"
        kind = issuer.kind.lower() if issuer.group == CERTIFICATES.group else f"{issuer.kind.lower()}.{issuer.group}"
        return (
            f"cert-manager says: {said[:_SAID]}. See that the issuer is there and ready "
            f"(kubectl describe {kind} {issuer.name}; kubectl describe certificate {name} tells more), or name another "
            "one in spec.tls.issuerRef"
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """A certificate in a Secret; `signers` as PEM: its authority, and those in between."""

    leaf: Leaf
    signers: str


def _read(secret: Mapping[str, Any] | None) -> _Found | None:
    if secret is None:
        return None
    try:
        held = holding.read(secret)
        chain = base64.b64decode(secret["data"][holding.CERTIFICATE]).decode("ascii")
    except ValueError:
        return None
    if held.leaf is None:
        return None
    return _Found(held.leaf, b"".join((*readable(chain)[1:], *readable(held.authority))).decode())


def _issued_by(secret: Mapping[str, Any], key: Key, issuer: IssuerRef) -> bool:
    """Whether this issuer made it; where the Secret does not say, cert-manager counts."""
    said = secret["metadata"].get("annotations") or {}
    names = {_ISSUER_NAME: issuer.name, _ISSUER_KIND: issuer.kind, _ISSUER_GROUP: issuer.group}
    return written_by_it(secret, key) and all(said.get(each, name) == name for each, name in names.items())


def _message(status: Mapping[str, Any], kind: str, truth: str = "") -> str:
    """Of a condition, where it has this `status`."""
    told = (each for each in status.get("conditions") or () if each.get("type") == kind)
    return next((str(each.get("message") or "") for each in told if not truth or each.get("status") == truth), "")
