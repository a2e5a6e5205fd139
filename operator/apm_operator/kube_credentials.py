"""How the operator proves who it is to the API server, renewed when that is not believed any more.

The official client finds the credentials. It reads the pod's token anew each minute, but a kubeconfig's token file and
exec plugin only once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import structlog
import yaml

from apm_operator.errors import SettingsError
from apm_operator.kube_client import Configuration, config

_UNAUTHORIZED = 401
_PAUSE_SECONDS = 10.0
"""Where new credentials are refused as well, a plugin is not called for each request."""

_log = structlog.stdlib.get_logger(__name__)


async def configuration(kubeconfig: str, context: str | None = None) -> Configuration:
    """Where the API server is and how to prove who we are; without a context, the kubeconfig's current one.

    Raises:
        SettingsError: neither the kubeconfig nor the pod's service account can be used.
    """
    found = Configuration()
    try:
        if kubeconfig:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, context=context, client_configuration=found
            )
        else:
            config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        where = f"KUBECONFIG={kubeconfig!r}" if kubeconfig else "The pod's service account"
        hint = "" if kubeconfig else "; outside of a pod, set KUBECONFIG"
        raise SettingsError(f"{where} can't be used: {error}{hint}") from error
    return found


def current_namespace(kubeconfig: str, context: str | None = None) -> str:
    """The namespace of a context, as kubectl takes it where none is named."""
    if not kubeconfig:
        return "default"
    contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str((chosen.get("context") or {}).get("namespace") or "default")


class Credentials:
    """Signs requests. A client certificate is not renewed: it is part of the connections."""

    def __init__(self, found: Configuration, kubeconfig: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._found = found
        self._kubeconfig = kubeconfig
        self._clock = clock
        self._renewed = float("-inf")
        self._lock = asyncio.Lock()

    async def sign(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Middleware of a session: adds the credentials, and where they are refused, tries once with newer ones."""
        used = await self._header()
        if used:
            request.headers["Authorization"] = used
        response = await handler(request)
        if response.status != _UNAUTHORIZED or not used:
            return response
        newer = await self._newer_than(used)
        if newer == used:
            return response
        response.release()
        request.headers["Authorization"] = newer
        return await handler(request)

    async def _header(self) -> str:
        """The header `Authorization`, "" where there is none."""
        try:
            token = await self._found.get_api_key_with_prefix("BearerToken")
        except (config.ConfigException, OSError) as error:
            _log.warning("The token could not be read anew", error=str(error))
            token = self._found.api_key.get("BearerToken")
        if token:
            return str(token).strip()
        return self._found.get_basic_auth_token() or "" if self._found.username else ""

    async def _newer_than(self, refused: str) -> str:
        """The credentials after `refused`; the same where there are no others."""
        async with self._lock:
            current = await self._header()
            if current != refused or self._clock() - self._renewed < _PAUSE_SECONDS:
                return current
            self._renewed = self._clock()
            try:
                found = await configuration(self._kubeconfig)
            except SettingsError as error:
                _log.warning("The credentials are refused and could not be renewed", error=str(error))
                return refused
            before, self._found = self._found, found
            if not await self._header():  # the client only logs that a plugin has failed
                self._found = before
            return await self._header()
