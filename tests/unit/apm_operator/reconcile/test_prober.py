import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from apm_operator.reconcile import prober as module
from apm_operator.reconcile.facts import PodFacts
from apm_operator.reconcile.prober import HttpProber, failed_checks

UNREADY = {
    "status": "unready",
    "checks": {"graph": {"ok": True}, "mongodb": {"ok": False, "message": "mongodb://u:p@h refused"}},
}


def pod(**facts: Any) -> PodFacts:
    return PodFacts(version="1", config="c", **facts)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (json.dumps(UNREADY).encode(), "mongodb: mongodb://***@h refused"),
        (b"<html>", ""),
        (b"[]", ""),
        (b'{"checks": []}', ""),
        (b"{}", ""),
    ],
)
def test_only_failed_checks_are_told_and_without_secrets(raw: bytes, told: str):
    assert failed_checks(raw) == told


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    seen: list[str] = []

    async def readyz(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.json_response(UNREADY, status=503)

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr(module, "PORT", runner.addresses[0][1])
    yield seen
    await runner.cleanup()


async def test_only_pods_that_run_and_are_not_ready_are_asked(asked: list[str]):
    prober = HttpProber(lambda: 100.0)
    pods = {
        "unready": pod(running=True, ip="127.0.0.1"),
        "ready": pod(running=True, ready=True, ip="127.0.0.1"),
        "starting": pod(ip="127.0.0.1"),
        "young": pod(running=True, since=99.0, ip="127.0.0.1"),
        "leaving": pod(running=True, deleting=True, ip="127.0.0.1"),
        "deaf": pod(running=True, ip="127.0.0.254"),
    }
    assert await prober.reasons(pods, None) == {"unready": "mongodb: mongodb://***@h refused"}
    assert asked == ["/readyz"]
    await prober.close()
