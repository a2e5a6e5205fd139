"""A reverse proxy in front of the API server that answers some requests with an error of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from cluster.controlplane import ControlPlane

Fault = Callable[[web.Request], web.Response | None]
_HOP_BY_HOP = {"transfer-encoding", "content-encoding", "content-length", "connection", "host"}


def status_answer(code: int, *, retry_after: int | None = None) -> web.Response:
    """An error as the API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": f"injected {code}"}
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return web.json_response(body, status=code, headers=headers)


class FaultyProxy:
    """Passes requests on, unless `fault` answers them; counts its own answers by status.

    A request that is `held` gets no answer; `abandoned` has the times (monotonic) at which their clients hung up.
    """

    def __init__(self, plane: ControlPlane, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.fault: Fault = lambda _: None
        self.injected: Counter[int] = Counter()
        self.deaf = False
        self.held: Callable[[web.Request], bool] = lambda _: False
        self.abandoned: list[float] = []
        self._plane = plane

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        answer = self.fault(request)
        if answer is not None:
            self.injected[answer.status] += 1
            return answer
        if self.held(request):
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110  tells nobody
                await asyncio.sleep(0.05)
            self.abandoned.append(time.monotonic())
            return web.Response()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            request.method,
            self._plane.url + request.raw_path,
            headers=headers,
            data=await request.read() or None,
        ) as upstream:
            response = web.StreamResponse(status=upstream.status)
            response.content_type = upstream.content_type
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                if not (self.deaf and request.query.get("watch") == "true"):
                    await response.write(chunk)
            await response.write_eof()
            return response

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Listen on a free port of this machine until told to stop."""
        tls = ssl.create_default_context(cafile=self._plane.pki.authority.pair.certificate)
        tls.load_cert_chain(self._plane.pki.admin.certificate, self._plane.pki.admin.key)
        connector = aiohttp.TCPConnector(ssl=tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=True, timeout=timeout) as self._session:
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "proxy",
                "clusters": [{"name": "proxy", "cluster": {"server": address}}],
                "users": [{"name": "proxy", "user": {}}],
                "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            }
            self.kubeconfig.write_text(json.dumps(config))
            started.set()
            await stop.wait()
            await runner.cleanup()


@contextmanager
def faulty_proxy(plane: ControlPlane, folder: Path) -> Iterator[FaultyProxy]:
    """A proxy that runs in a thread of its own."""
    proxy = FaultyProxy(plane, folder / "proxy.kubeconfig")
    started, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        await proxy.serve(started, stop)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
