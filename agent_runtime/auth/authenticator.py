"""All the ways to prove who one is that an agent's config allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.auth.callers import Callers
from agent_runtime.auth.principal import NOBODY, Principal
from agent_runtime.errors import AuthenticationError, ConfigError, ForbiddenError
from agent_runtime.spec.auth import AuthSpec
from agent_runtime.spec.identity import OPERATOR_URI, SCRAPER_URI

if TYPE_CHECKING:
    from agent_runtime.auth.api_keys import APIKeys
    from agent_runtime.auth.proof import Proof
    from agent_runtime.auth.service_accounts import ServiceAccounts
    from agent_runtime.auth.tokens import Tokens
    from agent_runtime.clients import Clients
    from agent_runtime.settings import Settings
    from agent_runtime.spec.agent import RuntimeConfig


class Authenticator:
    """Tells who sends a request. A token or key counts before the certificate: it is what the sender chose to show."""

    def __init__(self, config: RuntimeConfig, settings: Settings, clients: Clients) -> None:
        """Raises ConfigError if a way that is configured can't be gone."""
        if config.spec.auth is None and not config.tls:
            raise ConfigError("nobody could prove who they are: the config needs `tls`, or `auth` in its spec")
        auth = config.spec.auth or AuthSpec()
        self._tls = config.tls
        self._anonymous = auth.anonymous
        self._callers = Callers(settings.trust_dir / "callers.json") if config.tls else None
        self._api_keys = _api_keys(auth, settings)
        self._tokens = _tokens(auth, clients)
        self._service_accounts = _service_accounts(auth, config, clients)
        realm = f'realm="{config.agent.key}"'
        takes_tokens = self._api_keys or self._tokens or self._service_accounts
        self.challenge = f"{'Bearer' if takes_tokens else 'Mutual-TLS'} {realm}"
        """For `WWW-Authenticate`."""

    async def principal(self, proof: Proof) -> Principal:
        """The caller.

        Raises:
            AuthenticationError: The proof is missing, or none.
            ForbiddenError: The caller is known, but may not call this agent.
            UnavailableError: The proof can't be checked now.
            TooManyRequestsError: Too many proofs from the same address wait to be checked.
        """
        if proof.too_long:
            raise AuthenticationError("the token is too long to be one")
        if proof.key and self._api_keys:
            if found := self._api_keys.principal(proof.key):
                return found
            raise AuthenticationError("there is no such API key")
        if proof.bearer and (self._api_keys or self._tokens or self._service_accounts):
            return await self._bearer(proof.bearer, proof.address)
        if proof.uri is not None and self._callers:
            return self._callers.principal(proof.uri)
        if self._anonymous:
            return NOBODY
        raise AuthenticationError("say who calls: by a client certificate, a token or an API key")

    def may_scrape(self, proof: Proof) -> None:
        """Whether the metrics may be read: by the scraper, or by everybody where there are no certificates.

        Raises:
            AuthenticationError: There is no certificate.
            ForbiddenError: The certificate is another one's.
        """
        if not self._tls or proof.uri == SCRAPER_URI:
            return
        if proof.uri is None:
            raise AuthenticationError("metrics are for the scraper: show its client certificate")
        raise ForbiddenError("metrics are for the scraper: show its client certificate")

    async def _bearer(self, token: str, address: str) -> Principal:
        if self._api_keys and (found := self._api_keys.principal(token)):
            return found
        if self._tokens and (found := await self._tokens.principal(token)):
            return found
        if self._service_accounts and (found := await self._service_accounts.principal(token, address)):
            return found
        raise AuthenticationError("the token is refused: it is of nobody who is known here")


def _api_keys(auth: AuthSpec, settings: Settings) -> APIKeys | None:
    if auth.api_keys is None:
        return None
    from agent_runtime.auth.api_keys import APIKeys  # noqa: PLC0415 - only what the agent uses is loaded

    return APIKeys(settings.api_keys_dir)


def _tokens(auth: AuthSpec, clients: Clients) -> Tokens | None:
    if not auth.jwt:
        return None
    from agent_runtime.auth.tokens import Tokens  # noqa: PLC0415 - takes 10 MiB

    return Tokens(auth.jwt, clients.http)


def _service_accounts(auth: AuthSpec, config: RuntimeConfig, clients: Clients) -> ServiceAccounts | None:
    if auth.service_accounts is None:
        return None
    http = clients.to(config.token_review_url or "", OPERATOR_URI)
    if config.token_review_url is None or http is None:
        raise ConfigError(
            "`auth.serviceAccounts` needs TLS, by which the operator is asked: remove it, or `tls.mode: Disabled`"
        )
    from agent_runtime.auth.service_accounts import ServiceAccounts  # noqa: PLC0415 - only what the agent uses is loaded

    return ServiceAccounts(auth.service_accounts, config.token_review_url, http)
