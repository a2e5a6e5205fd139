"""The certificates of agents: looked at once after a start and now and then, made and renewed when it is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from apm_operator import metrics
from apm_operator.errors import ApiError, Forbidden, NamespaceTerminating, NotFound, QuotaExceeded
from apm_operator.kinds import SECRETS
from apm_operator.manifests import certificate
from apm_operator.manifests.agent import canonical, digest
from apm_operator.pki import certificates, holding
from apm_operator.pki.foreign import Signers, readable
from apm_operator.pki.holding import Held
from apm_operator.pki.keyring import KeyringBroken
from apm_operator.reconcile import standing
from apm_operator.reconcile.apply import NameTaken, check_owner, write
from apm_operator.reconcile.certmanager import written_by_it
from apm_operator.reconcile.plan import Manifest
from apm_operator.reconcile.standing import Standing

if TYPE_CHECKING:
    from apm_operator.api.tls import Tls
    from apm_operator.kube import Kube
    from apm_operator.pki.certificates import Leaf
    from apm_operator.pki.holding import Wanted
    from apm_operator.pki.issuer import Issuer
    from apm_operator.queue import Key
    from apm_operator.reconcile.certmanager import CertManager

_LOOK_SECONDS = 300.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last look has found; no key is kept."""

    uid: str
    tls: Tls
    found: Standing
    again_at: float
    authorities: frozenset[str]


class Certificates:
    """Keeps the Secret `NAME-tls` of each agent.

    Args:
        kube: the Kubernetes API.
        issuer: the operator's own authority.
        cert_manager: asks cert-manager, for agents that name an issuer of it.
        grant: command by which an administrator lets the operator use Secrets in NAMESPACE.
        clock: seconds since 1970.
        issued_look: how often cert-manager's certificates are looked at, in seconds: nobody tells of their renewal.
    """

    def __init__(
        self,
        kube: Kube,
        issuer: Issuer,
        cert_manager: CertManager,
        grant: str,
        clock: Callable[[], float] = time.time,
        *,
        issued_look: float = 60.0,
    ) -> None:
        self._kube = kube
        self._issuer = issuer
        self._cert_manager = cert_manager
        self._grant = grant
        self._clock = clock
        self._issued_look = issued_look
        self._known: dict[Key, _Known] = {}
        self.signers = Signers(clock)
        """Authorities of cert-manager's issuers."""

    def trusted(self, key: Key) -> str:
        """Certificates of the authorities that an agent and its callers trust, PEM: the operator's and its issuer's."""
        return self._issuer.bundle + b"".join(self.signers.of(_agent(key))).decode()

    async def keep(self, key: Key, uid: str, tls: Tls, *, new: bool) -> Standing:
        """Have the agent's Secret hold a certificate that is good for a while.

        Args:
            key: the agent.
            uid: the agent's.
            tls: what its spec says.
            new: whether no certificate of it has been told of before, so that none is expected.

        Raises:
            NameTaken: somebody else's Secret has the name.
            ApiError: the API server refused, and there is no certificate to go on with.
        """
        known, now = self._known.get(key), self._clock()
        same = known is not None and (known.uid, known.tls, known.authorities) == (uid, tls, self._issuer.ids)
        if known is not None and same and now < known.again_at:
            return replace(known.found, again=known.again_at - now)
        if tls.issuer_ref is None and not (new and known is None):
            await self._leave_cert_manager(key, uid, known)
        found = await self._look(key, uid, tls, new=new and known is None)
        if found.leaf is not None:
            metrics.CERTIFICATE_EXPIRY.labels(key.namespace, key.name).set(found.leaf.ends)
            metrics.CERTIFICATE_LIFE.labels(key.namespace, key.name).set(found.leaf.ends - found.leaf.made)
        if found.leaf is not None:
            self.signers.note(_agent(key), self._foreign(found.authority))
        if tls.issuer_ref is not None:
            found = replace(found, again=min(found.again, self._issued_look))
        self._known[key] = _Known(uid, tls, found, now + min(found.again, _LOOK_SECONDS), self._issuer.ids)
        return found

    async def remove(self, key: Key, uid: str, *, told: bool) -> None:
        """The agent needs no certificate any more; `told` says that one of it has been told of.

        Raises:
            ApiError: the API server refused for a reason that may pass.
        """
        if not told and key not in self._known:
            return
        try:
            await self._leave_cert_manager(key, uid, self._known.get(key))
            body = await self._read(key)
            if body is not None and await self._is_its_own(key, uid, body):
                await self._kube.delete(SECRETS, key.namespace, body["metadata"]["name"], body["metadata"]["uid"])
        except (Forbidden, NotFound, NameTaken):
            pass  # what is not ours to see or to take stays
        self.release(key)

    def release(self, key: Key) -> None:
        """The agent is gone, or has no certificate."""
        self.signers.release(_agent(key))
        if self._known.pop(key, None) is not None:
            metrics.CERTIFICATE_EXPIRY.remove(key.namespace, key.name)
            metrics.CERTIFICATE_LIFE.remove(key.namespace, key.name)

    async def _leave_cert_manager(self, key: Key, uid: str, known: _Known | None) -> None:
        """Ask cert-manager no more, if it may have been asked: else it would write the Secret when nobody wants it."""
        if known is not None and known.tls.issuer_ref is None:
            return
        with suppress(Forbidden, NameTaken):  # without the right nothing was asked
            if await self._cert_manager.may_be_asked():
                await self._cert_manager.withdraw(key, uid)

    def _foreign(self, authorities: str) -> tuple[bytes, ...]:
        return tuple(each for each in readable(authorities) if certificates.key_id(each) not in self._issuer.ids)

    async def _look(self, key: Key, uid: str, tls: Tls, *, new: bool) -> Standing:
        wanted = certificate.wanted(key, tls)
        try:
            body = None if new and tls.issuer_ref is None else await self._read(key)
            if tls.issuer_ref is not None:
                return await self._cert_manager.look(key, uid, wanted, tls.issuer_ref, body)
            return await self._keep(key, uid, wanted, body)
        except (QuotaExceeded, NamespaceTerminating):
            raise
        except Forbidden:
            grant = self._grant.replace("NAMESPACE", key.namespace)
            return standing.not_permitted(certificate.name(key.name), key.namespace, grant)

    async def _keep(self, key: Key, uid: str, wanted: Wanted, body: Mapping[str, Any] | None) -> Standing:
        now = self._clock()
        held = Held(lacking="it is absent")
        if body is not None:
            if not written_by_it(body, key):
                check_owner(body, SECRETS, key, uid)
            held = holding.examine(body, wanted, self._issuer.ids, now)
        if held.leaf is not None and not held.lacking:
            return standing.issued(held.leaf, held.authority, now)
        try:
            leaf, authority = await self._issue(key, uid, wanted, body)
        except (ApiError, KeyringBroken) as error:
            if held.leaf is not None:
                _log.warning("A certificate could not be renewed", error=str(error))
                return standing.expiring(held.leaf, held.authority, str(error))
            raise
        _log.info("issued a certificate", why=held.lacking, ends=leaf.ends)
        return standing.issued(leaf, authority, now)

    async def _issue(self, key: Key, uid: str, wanted: Wanted, body: Mapping[str, Any] | None) -> tuple[Leaf, str]:
        try:
            signed = await self._issuer.sign(wanted.subject, wanted.life)
        except Forbidden as error:  # of the operator's own namespace, not of the agent's
            raise ApiError(str(error), status=error.status) from error
        known = body is not None and await self._is_its_own(key, uid, body)
        before = (body["metadata"].get("annotations") or {}) if body is not None else {}
        manifest = certificate.secret(key, uid, wanted, signed.pair, signed.authority)
        text = canonical(certificate.forgetting(manifest, before))
        written = Manifest(SECRETS, certificate.name(key.name), text, digest(text))
        await write(self._kube, key, written, uid, known=known)
        return certificates.read(signed.pair.certificate), signed.authority

    async def _is_its_own(self, key: Key, uid: str, body: Mapping[str, Any]) -> bool:
        """Find that a Secret is the agent's; one of cert-manager's is, once cert-manager is not asked for it any more.

        Raises:
            NameTaken: it belongs to somebody else.
        """
        if written_by_it(body, key):
            await self._cert_manager.withdraw(key, uid)
        else:
            check_owner(body, SECRETS, key, uid)
        return True

    async def _read(self, key: Key) -> dict[str, Any] | None:
        try:
            return await self._kube.get(SECRETS, key.namespace, certificate.name(key.name))
        except NotFound:
            return None


def _agent(key: Key) -> str:
    return f"{key.namespace}/{key.name}"
