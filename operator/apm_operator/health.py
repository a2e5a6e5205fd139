"""`/livez`, `/readyz` and `/metrics` of the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from apm_operator import metrics

Checks = Callable[[], Mapping[str, str]]
"""Names each check, with what is wrong or ""."""


class HealthServer:
    """Answers the kubelet and Prometheus."""

    def __init__(self, live: Checks, ready: Checks, export: Callable[[], None]) -> None:
        self._live = live
        self._ready = ready
        self._export = export
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, which `port` then names."""
        app = web.Application()
        app.router.add_get("/livez", self._answer(self._live))
        app.router.add_get("/readyz", self._answer(self._ready))
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @staticmethod
    def _answer(checks: Checks) -> Callable[[web.Request], Any]:
        async def handle(_: web.Request) -> web.Response:
            found = checks()
            wrong = {name: message for name, message in found.items() if message}
            body = {
                "status": "failed" if wrong else "ok",
                "checks": {
                    name: {"ok": not message} | ({"message": message} if message else {})
                    for name, message in found.items()
                },
            }
            return web.json_response(body, status=503 if wrong else 200)

        return handle

    async def _metrics(self, _: web.Request) -> web.Response:
        self._export()
        return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
