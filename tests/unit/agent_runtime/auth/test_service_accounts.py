"""Tokens of ServiceAccounts, reviewed by an operator on loopback that asks for certificates."""

from __future__ import annotations

import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent_runtime.auth import service_accounts
from agent_runtime.auth.principal import Principal
from agent_runtime.auth.service_accounts import ServiceAccounts
from agent_runtime.clients import Clients
from agent_runtime.errors import ForbiddenError, UnavailableError
from agent_runtime.server.connection import PEER, PeerProtocol
from agent_runtime.spec.auth import ServiceAccountsSpec
from agent_runtime.spec.identity import OPERATOR_URI, agent_uri
from agent_runtime.tls.material import Material
from fakes.authority import Authority, pod
from fakes.serving import serving_as

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

SPEC = ServiceAccountsSpec(allow=("shop/clerk", "crm/*"))


class Operator:
    """Answers as it is told to, and keeps what it was asked and by whom."""

    def __init__(self) -> None:
        self.answer: Any = {}
        self.asked: list[tuple[str | None, Any]] = []

    def accept(self, account: str, seconds: float = 600) -> None:
        self.answer = {
            "authenticated": True,
            "user": f"system:serviceaccount:{account}",
            "expires": int(time.time() + seconds),
        }

    async def review(self, request: Request) -> JSONResponse:
        self.asked.append((request.scope["state"][PEER].uri, await request.json()))
        return JSONResponse(self.answer)


@asynccontextmanager
async def _reviewed(folder: Path, uri: str = OPERATOR_URI) -> AsyncIterator[tuple[Operator, ServiceAccounts]]:
    authority, operator = Authority(), Operator()
    certificate, key = authority.issue((uri,))
    (folder / "operator.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "operator.pem")
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    app = Starlette(routes=[Route("/tokenreviews", operator.review, methods=["POST"])])
    serving = uvicorn.Config(
        app, http=PeerProtocol, log_config=None, timeout_graceful_shutdown=5, ssl_context_factory=lambda *_: context
    )
    mounts = pod(folder / "pod", authority, "asking")
    clients = Clients(Material.mounted(mounts.tls, mounts.trust))
    async with serving_as(serving) as url:
        http = clients.to(url, OPERATOR_URI)
        assert http is not None
        yield operator, ServiceAccounts(SPEC, f"{url}/tokenreviews", http)
        await clients.close()


def _token(name: str = "t", audience: object = "apm") -> str:
    return jwt.encode({"sub": name, "aud": audience}, "k" * 32)


async def test_a_reviewed_token_names_its_account(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.accept("shop:clerk")
        for _ in range(3):
            assert await accounts.principal(_token()) == Principal("shop/clerk", "", "serviceAccount")
        assert operator.asked == [(agent_uri("tests", "asking"), {"token": _token(), "audience": "apm"})]
        operator.accept("crm:importer")
        assert await accounts.principal(_token("other", audience=["x", "apm"])) == Principal(
            "crm/importer", "", "serviceAccount"
        )


async def test_an_account_that_is_not_on_the_list_may_not(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        for account in ("shop:other", "crmx:importer", "shop:clerk2"):
            operator.accept(account)
            with pytest.raises(ForbiddenError, match="may not call this agent"):
                await accounts.principal(_token(account))


async def test_a_refused_token_and_other_users_are_nobody(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.answer = {"authenticated": False}
        assert await accounts.principal(_token()) is None
        assert await accounts.principal(_token()) is None
        assert len(operator.asked) == 1
        operator.answer = {"authenticated": True, "user": "shop:clerk", "expires": int(time.time() + 60)}
        assert await accounts.principal(_token("other")) is None
        for stranger in ("no-token", _token(audience="elsewhere"), _token(audience=["a", "b"]), _token(audience=None)):
            assert await accounts.principal(stranger) is None
        assert len(operator.asked) == 2


async def test_an_answer_counts_no_longer_than_the_token_or_a_minute(tmp_path, monkeypatch):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.accept("shop:clerk", seconds=-1)
        await accounts.principal(_token())
        await accounts.principal(_token())
        assert len(operator.asked) == 2
        operator.accept("shop:clerk")
        monkeypatch.setattr(service_accounts, "_KEPT", 0.0)
        await accounts.principal(_token())
        await accounts.principal(_token())
        assert len(operator.asked) == 4


@pytest.mark.parametrize("answer", [{}, [], {"authenticated": True}, {"authenticated": True, "expires": "x"}])
async def test_an_answer_that_is_none_refuses_nobody(tmp_path, answer):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.answer = answer
        with pytest.raises(UnavailableError, match="can't be reviewed"):
            await accounts.principal(_token())


async def test_only_the_operator_is_asked(tmp_path):
    async with _reviewed(tmp_path, agent_uri("tests", "thief")) as (operator, accounts):
        operator.accept("shop:clerk")
        with pytest.raises(UnavailableError, match="its certificate is refused"):
            await accounts.principal(_token())
        assert operator.asked == []
