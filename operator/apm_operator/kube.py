"""The Kubernetes API: dicts and bytes in, dicts out, errors of this package.

The official client's `kubernetes.aio` finds the credentials (kubeconfig, exec plugins, the pod's service account) and
makes the TLS context. Requests go through aiohttp itself: the client's wrapper
costs about 1 ms of CPU per call, this 0.3 ms, and a pass over an agent makes five.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp

from apm_operator import metrics
from apm_operator.errors import ApiError, Unreachable, from_status
from apm_operator.kinds import FIELD_MANAGER, Resource
from apm_operator.kube_client import Configuration, RESTClientObject
from apm_operator.kube_credentials import Credentials, configuration

_LONGEST_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
PAGE = 100
"""Objects per answer of a list: a page of Deployments as dicts takes some MB."""
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON = "application/json"
_METHODS = {
    "get": "GET",
    "list": "GET",
    "discover": "GET",
    "apply": "PATCH",
    "patch-status": "PATCH",
    "create": "POST",
    "update": "PUT",
    "delete": "DELETE",
}


class Kube:
    """One connection pool to the API server."""

    def __init__(self, found: Configuration, kubeconfig: str = "", gate: Callable[[], float] | None = None) -> None:
        self._credentials = Credentials(found, kubeconfig)
        self._tls = RESTClientObject(found).ssl_context
        self._gate = gate
        self.server: str = found.host
        self._session: aiohttp.ClientSession | None = None

    def set_gate(self, gate: Callable[[], float]) -> None:
        """Have `gate` asked before every write for how many seconds it may take.

        It raises where this process must not write any more.
        """
        self._gate = gate

    def session(self, response_class: type[aiohttp.ClientResponse] = aiohttp.ClientResponse) -> aiohttp.ClientSession:
        """A new session with the API server's TLS settings that signs each request; the caller closes it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            headers={"User-Agent": FIELD_MANAGER},
            middlewares=(self._credentials.sign,),
            response_class=response_class,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        manifest: bytes,
        *,
        force: bool = True,
        manager: str = FIELD_MANAGER,
    ) -> dict[str, Any]:
        """Server-side apply: the object becomes what `manifest` says in the fields that it names.

        `force` takes fields over from other managers; without it, they make a Conflict.
        """
        # Warnings of unknown fields are heard by nobody, and cost the API server a second reading of the manifest.
        query = {"fieldManager": manager, "force": "true" if force else "false", "fieldValidation": "Ignore"}
        path = resource.path(namespace, name)
        return await self._write("apply", resource, path, manifest, query=query, content_type=_APPLY)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change the named top-level fields of an object's status; None removes one."""
        path = resource.path(namespace, name, "status")
        query = {"fieldManager": FIELD_MANAGER}
        body = _encode({"status": status})
        return await self._write("patch-status", resource, path, body, query=query, content_type=_MERGE)

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, gated: bool = True
    ) -> dict[str, Any]:
        """Create an object; only the election, and questions such as a TokenReview, go without being `gated`."""
        return await self._write("create", resource, resource.path(namespace), _encode(body), gated=gated)

    async def replace(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any], *, gated: bool = True
    ) -> dict[str, Any]:
        """Replace an object; a Conflict where its `resourceVersion` is not the newest."""
        return await self._write("update", resource, resource.path(namespace, name), _encode(body), gated=gated)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, *, children_first: bool = False
    ) -> None:
        """Delete the object that has this uid; a Conflict where another has taken its name."""
        propagation = "Foreground" if children_first else "Background"
        options = {"preconditions": {"uid": uid}, "propagationPolicy": propagation}
        await self._write("delete", resource, resource.path(namespace, name), _encode(options))

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """Read an object; `namespace=None` where its kind belongs to no namespace."""
        return await self._call("get", resource, resource.path(namespace, name))

    async def pages(
        self, resource: Resource, namespace: str | None, selector: str = ""
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """List objects, some hundred at a time; `namespace=None` means all namespaces."""
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            answer = await self._call("list", resource, resource.path(namespace), query=query)
            yield answer.get("items") or []
            proceed = answer["metadata"].get("continue")
            if not proceed:
                return
            query["continue"] = proceed

    async def served(self, resource: Resource) -> bool:
        """Whether the API server knows this kind."""
        path = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        try:
            answer = await self._call("discover", resource, path)
        except ApiError as error:
            if error.status == 404:  # noqa: PLR2004  Not Found
                return False
            raise
        return any(entry["name"] == resource.plural for entry in answer["resources"])

    async def _write(
        self,
        verb: str,
        resource: Resource,
        path: str,
        body: bytes,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = _JSON,
        gated: bool = True,
    ) -> dict[str, Any]:
        seconds = _LONGEST_SECONDS
        if gated and self._gate is not None:
            seconds = min(seconds, self._gate())
            # The API server would go on with a request whose client has hung up; by this it gives up as well.
            query = {**(query or {}), "timeout": f"{max(1, round(seconds * 1000))}ms"}
        return await self._call(
            verb, resource, path, body=body, query=query, content_type=content_type, seconds=seconds
        )

    async def _call(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = _JSON,
        seconds: float = _LONGEST_SECONDS,
    ) -> dict[str, Any]:
        if self._session is None:
            self._session = self.session()
        code = 0
        try:
            async with self._session.request(
                _METHODS[verb],
                self.server + path,
                data=body,
                params=query,
                headers={"Content-Type": content_type, "Accept": _JSON},
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS),
            ) as response:
                code = response.status
                raw = await response.read()
                retry_after = response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"The API server did not answer: {error or type(error).__name__}") from error
        finally:
            metrics.API_CALLS.labels(verb, resource.kind, str(code)).inc()
        answer = _decode(raw)
        if code >= 400:  # noqa: PLR2004  the first error status
            raise from_status(code, answer, retry_after)
        if not isinstance(answer, dict):
            raise Unreachable(f"The API server sent no JSON object for {path}")
        return answer


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


async def connect(kubeconfig: str) -> Kube:
    """The API server of a kubeconfig, or for "" that of the pod's own cluster.

    Raises:
        SettingsError: neither the kubeconfig nor the pod's service account can be used.
    """
    return Kube(await configuration(kubeconfig), kubeconfig)


async def wait_until_served(kube: Kube, resource: Resource, waiting: Callable[[str], None]) -> None:
    """Wait until the API server answers and knows a kind; `waiting` is told what is missing, once per cause."""
    told = ""
    while True:
        try:
            if await kube.served(resource):
                return
            missing = (
                f"The cluster has no {resource.plural}.{resource.group}: install the CRDs "
                "(kubectl apply --server-side -f crds/, or the chart with crds.enabled=true)"
            )
        except ApiError as error:
            missing = str(error)
        if missing != told:
            waiting(missing)
            told = missing
        await asyncio.sleep(1)
