"""Tokens end; the operator goes on with the next one."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.config import incluster_config

from apm_operator import kube_credentials
from apm_operator.errors import ApiError
from apm_operator.kinds import SERVICES
from apm_operator.kube import Kube, connect


class Server:
    """Lets in who brings the right token, and counts whom it does not."""

    def __init__(self) -> None:
        self.token = "first"  # noqa: S105
        self.refused = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").lower() == f"bearer {self.token}":
            return web.json_response({"metadata": {}, "got": await request.text()})
        self.refused += 1
        return web.json_response({"message": "Unauthorized"}, status=401)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as listening:
        server.url = str(listening.make_url("")).rstrip("/")
        yield server


@pytest.fixture
async def opened(server: Server, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    kubes: list[Kube] = []

    async def of(**user: Any) -> Kube:
        """An operator's connection by a kubeconfig for this user."""
        file = tmp_path / "kubeconfig"
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "it",
                    "clusters": [{"name": "it", "cluster": {"server": server.url}}],
                    "users": [{"name": "it", "user": user}],
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                }
            )
        )
        kubes.append(await connect(str(file)))
        return kubes[-1]

    yield of
    for kube in kubes:
        await kube.close()


async def test_a_token_file_is_read_again(server: Server, opened: Callable[..., Any], tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("first\n")
    kube = await opened(tokenFile=str(file))
    await kube.get(SERVICES, "shop", "one")
    server.token = "second"  # noqa: S105
    file.write_text("second\n")
    answer = await kube.apply(SERVICES, "shop", "one", b"body")
    assert (answer["got"], server.refused) == ("body", 1)
    await kube.get(SERVICES, "shop", "one")
    assert server.refused == 1


async def test_a_plugin_is_called_again(server: Server, opened: Callable[..., Any], tmp_path: Path):
    answer = tmp_path / "answer"

    def issue(token: str) -> None:
        status = {"token": token, "expirationTimestamp": "2999-01-01T00:00:00Z"}
        content = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
        answer.write_text(json.dumps(content))

    issue("first")
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [str(answer)]}
    kube = await opened(exec=plugin)
    await kube.get(SERVICES, "shop", "one")
    server.token = "second"  # noqa: S105
    issue("second")
    await kube.get(SERVICES, "shop", "one")
    assert server.refused == 1


async def test_a_watch_is_renewed_as_well(server: Server, opened: Callable[..., Any], tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("first")
    kube = await opened(tokenFile=str(file))
    server.token = "second"  # noqa: S105
    file.write_text("second")
    async with kube.session() as session, session.get(server.url) as response:
        assert response.status == 200


async def test_where_nothing_newer_is_to_be_had_the_refusal_is_told(
    opened: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[str] = []
    real = kube_credentials.configuration

    async def counted(kubeconfig: str) -> Any:
        calls.append(kubeconfig)
        return await real(kubeconfig)

    file = tmp_path / "token"
    file.write_text("wrong")
    kube = await opened(tokenFile=str(file))
    monkeypatch.setattr(kube_credentials, "configuration", counted)
    for _ in range(5):
        with pytest.raises(ApiError, match="Unauthorized"):
            await kube.get(SERVICES, "shop", "one")
    assert len(calls) == 1, "a plugin would be called for each request"
    file.unlink()
    with pytest.raises(ApiError, match="Unauthorized"):
        await kube.get(SERVICES, "shop", "one")


@pytest.fixture
async def in_pod(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Kube, Path]]:
    """A connection as in a pod, and its token's file."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text("not read")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")

    def plain(loader: Any, found: Any) -> None:
        real(loader, found)
        found.host, found.ssl_ca_cert = server.url, None

    real = incluster_config.InClusterConfigLoader._set_config
    monkeypatch.setattr(incluster_config.InClusterConfigLoader, "_set_config", plain)
    kube = await connect("")
    yield kube, token
    await kube.close()


@pytest.fixture
def a_minute_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return super().now(tz) + dt.timedelta(seconds=61)

    def passes() -> None:
        clock = SimpleNamespace(datetime=Later, timedelta=dt.timedelta)
        monkeypatch.setattr(incluster_config, "datetime", clock)

    return passes


async def test_the_token_of_a_pod_is_read_again_before_it_ends(
    server: Server, in_pod: tuple[Kube, Path], a_minute_passes: Callable[[], None]
):
    kube, token = in_pod
    await kube.get(SERVICES, "shop", "one")
    token.write_text("second")
    server.token = "second"  # noqa: S105
    a_minute_passes()
    await kube.get(SERVICES, "shop", "one")
    assert server.refused == 0


async def test_the_token_of_a_pod_that_ended_early_is_read_again_at_once(server: Server, in_pod: tuple[Kube, Path]):
    kube, token = in_pod
    await kube.get(SERVICES, "shop", "one")
    token.write_text("second")
    server.token = "second"  # noqa: S105
    await kube.get(SERVICES, "shop", "one")
    assert server.refused == 1


async def test_a_token_that_is_missing_for_a_moment_ends_nothing(
    in_pod: tuple[Kube, Path], a_minute_passes: Callable[[], None]
):
    kube, token = in_pod
    token.unlink()
    a_minute_passes()
    await kube.get(SERVICES, "shop", "one")
