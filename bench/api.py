"""A lean client of the API server for load: it must cost less than what it measures."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml


class Api:
    """The API server of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self.config = yaml.safe_load(kubeconfig.read_text())

    async def __aenter__(self) -> Self:
        """Open the connections."""
        cluster = self.config["clusters"][0]["cluster"]
        connector = aiohttp.TCPConnector(limit=64, ssl=self._tls(cluster))
        self.session = aiohttp.ClientSession(cluster["server"], connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.session.close()

    async def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request; an error of the server ends the benchmark."""
        data = None if body is None else json.dumps(body)
        async with self.session.request(method, path, data=data, headers={"Content-Type": content_type}) as response:
            answer = await response.json()
            if response.status >= 400:  # noqa: PLR2004
                raise SystemExit(f"{method} {path}: {response.status} {answer.get('message')}")
            return answer

    async def watch(self, path: str, seen: Callable[[dict[str, Any], float], None]) -> None:
        """Tell every event under `path` with the time it came, until cancelled.

        The API server ends the watches of a kind whose definition is new; a new one begins with what is there.
        """
        timeout = aiohttp.ClientTimeout(total=None)
        while True:
            async with self.session.get(path, params={"watch": "true"}, timeout=timeout) as response:
                response.raise_for_status()
                buffer = b""
                async for chunk in response.content.iter_any():
                    now = time.monotonic()
                    *lines, buffer = (buffer + chunk).split(b"\n")
                    for line in lines:
                        seen(json.loads(line), now)

    def _tls(self, cluster: dict[str, str]) -> ssl.SSLContext:
        user = self.config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder, "certificate"), Path(folder, "key")
            certificate.write_text(_pem(user, "client-certificate"))
            key.write_text(_pem(user, "client-key"))
            context.load_cert_chain(certificate, key)
        return context


def _pem(holder: dict[str, str], name: str) -> str:
    if f"{name}-data" in holder:
        return base64.b64decode(holder[f"{name}-data"]).decode()
    return Path(holder[name]).read_text()


async def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a state that watches bring about.

    Raises:
        SystemExit: it did not come within the time.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(0.05)
