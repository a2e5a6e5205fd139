"""Tokens of ServiceAccounts, reviewed by an operator on loopback that asks for certificates."""

from __future__ import annotations

import asyncio
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
from agent_runtime.errors import ForbiddenError, TooManyRequestsError, UnavailableError
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
        self.answering = asyncio.Event()
        """Set where questions are answered."""
        self.answering.set()

    def accept(self, account: str, seconds: float = 600) -> None:
        self.answer = {
            "authenticated": True,
            "user": f"system:serviceaccount:{account}",
            "expires": int(time.time() + seconds),
        }

    async def review(self, request: Request) -> JSONResponse:
        self.asked.append((request.scope["state"][PEER].uri, await request.json()))
        await self.answering.wait()
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


def _token(account: str = "shop:clerk", audience: object = "apm", **claims: object) -> str:
    subject = f"system:serviceaccount:{account}"
    return jwt.encode({"sub": subject, "aud": audience, "exp": int(time.time()) + 600, **claims}, "k" * 32)


async def test_a_reviewed_token_names_its_account(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.accept("shop:clerk")
        token = _token()
        for _ in range(3):
            assert await accounts.principal(token) == Principal("shop/clerk", "", "serviceAccount")
        assert operator.asked == [(agent_uri("tests", "asking"), {"token": token, "audience": "apm"})]
        operator.accept("crm:importer")
        assert await accounts.principal(_token("crm:importer", audience=["x", "apm"])) == Principal(
            "crm/importer", "", "serviceAccount"
        )


async def test_an_account_that_is_not_on_the_list_may_not(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        for account in ("shop:other", "crmx:importer", "shop:clerk2"):
            operator.accept(account)
            with pytest.raises(ForbiddenError, match="may not call this agent"):
                await accounts.principal(_token(account))
        with pytest.raises(ForbiddenError, match="may not call this agent"):
            await accounts.principal(_token("shop:clerk"))  # the review says otherwise


async def test_a_token_that_somebody_made_up_tells_nothing_of_who_is_on_the_list(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.answer = {"authenticated": False}
        for account in ("shop:clerk", "crm:guessed", "shop:other", "kube-system:guessed"):
            assert await accounts.principal(_token(account)) is None
        assert len(operator.asked) == 4, "an answer without a review would tell by its time, too"


async def test_a_refused_token_and_other_users_are_nobody(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.answer = {"authenticated": False}
        token = _token()
        assert await accounts.principal(token) is None
        assert await accounts.principal(token) is None
        assert len(operator.asked) == 1
        operator.answer = {"authenticated": True, "user": "shop:clerk", "expires": int(time.time() + 60)}
        assert await accounts.principal(_token("crm:importer")) is None
        strangers = [_token(audience=each) for each in ("elsewhere", ["a", "b"], None)]
        strangers += [_token(exp=each) for each in (int(time.time()) - 60, None, "soon", [])]
        strangers += [_token(sub=each) for each in ("shop:clerk", "system:serviceaccount:shop", None, 7, [])]
        for stranger in ("no-token", *strangers):
            assert await accounts.principal(stranger) is None
        assert len(operator.asked) == 2


async def test_many_bad_tokens_of_one_address_keep_no_other_one_out(tmp_path, monkeypatch):
    monkeypatch.setattr(service_accounts, "_KEPT", 0.0)
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.accept("shop:clerk")
        known, first = _token(jti="known"), _token(jti="first")
        await accounts.principal(known, "10.0.0.1")
        operator.answering.clear()
        flood = [asyncio.create_task(accounts.principal(_token(jti=f"junk {one}"), "10.0.0.9")) for one in range(100)]
        done, waiting = await asyncio.wait(flood, timeout=1)
        assert len(waiting) == 4 + 32
        assert all(isinstance(task.exception(), TooManyRequestsError) for task in done)
        good = [
            asyncio.create_task(accounts.principal(token, address))
            for token, address in ((first, "10.0.0.2"), (known, "10.0.0.9"), *[(first, "10.0.0.2")] * 40)
        ]
        await asyncio.sleep(0)
        operator.answering.set()
        assert set(await asyncio.gather(*good)) == {Principal("shop/clerk", "", "serviceAccount")}
        await asyncio.gather(*waiting)
        order = [question["token"] for _, question in operator.asked]
        assert max(order.index(first), len(order) - 1 - order[::-1].index(known)) < 1 + 4 + 8
        assert order.count(first) == 1


async def test_who_goes_away_while_waiting_leaves_the_turn_to_the_next(tmp_path):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.accept("shop:clerk")
        operator.answering.clear()
        asking = [asyncio.create_task(accounts.principal(_token(jti=str(one)), "10.0.0.9")) for one in range(20)]
        await asyncio.wait(asking, timeout=0.2)
        for task in asking[::2]:
            task.cancel()
        operator.answering.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert [isinstance(one, Principal) for one in answers] == [False, True] * 10


async def test_an_answer_counts_no_longer_than_the_token_or_a_minute(tmp_path, monkeypatch):
    async with _reviewed(tmp_path) as (operator, accounts):
        operator.accept("shop:clerk", seconds=-1)
        token = _token()
        await accounts.principal(token)
        await accounts.principal(token)
        assert len(operator.asked) == 2
        operator.accept("shop:clerk")
        monkeypatch.setattr(service_accounts, "_KEPT", 0.0)
        await accounts.principal(token)
        await accounts.principal(token)
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
