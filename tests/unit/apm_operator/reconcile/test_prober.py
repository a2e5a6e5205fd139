import json
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from apm_operator.pki import certificates
from apm_operator.pki.certificates import Subject
from apm_operator.reconcile import prober as module
from apm_operator.reconcile.facts import PodFacts
from apm_operator.reconcile.prober import HttpProber, Proof, failed_checks

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


@pytest.mark.parametrize(
    ("expected", "trusted", "told"),
    [
        (("one.shop.svc", "spiffe://x"), True, True),
        (("two.shop.svc", "spiffe://x"), True, False),
        (("one.shop.svc", "spiffe://y"), True, False),
        (("one.shop.svc", "spiffe://x"), False, False),
    ],
    ids=["it is", "another name", "another agent", "another authority"],
)
async def test_a_pod_is_known_by_its_certificate(monkeypatch, tmp_path, expected, trusted, told):
    authority, other = (certificates.authority(time.time(), 600) for _ in range(2))
    pair = certificates.sign(authority, Subject("spiffe://x", ("one.shop.svc",)), time.time(), 60)
    file = tmp_path / "pair.pem"
    file.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    async def readyz(_: web.Request) -> web.Response:
        return web.json_response(UNREADY, status=503)

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    monkeypatch.setattr(module, "TLS_PORT", runner.addresses[0][1])
    prober = HttpProber(lambda: 100.0)
    proof = Proof(*expected, (authority if trusted else other).certificate.decode())
    found = await prober.reasons({"one": pod(running=True, ip="127.0.0.1")}, proof)
    assert bool(found) == told
    await prober.close()
    await runner.cleanup()
