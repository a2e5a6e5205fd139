"""Prometheus and Alertmanager (Debian's packages) as processes of this machine."""

import http.client
import json
import subprocess
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import debian, ports
from cluster.errors import StartError
from cluster.progress import wait_until


@dataclass(frozen=True)
class Server:
    """One that runs, on loopback.

    Attributes:
        folder: has its `log` and its data.
    """

    name: str
    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **query: str) -> Any:
        """What it answers, which is JSON.

        Raises:
            OSError: it does not answer.
            StartError: it answers with an error.
        """
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def post(self, path: str, body: object) -> Any:
        """Likewise, for JSON that is sent."""
        return self._ask("POST", path, json.dumps(body))

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series that Prometheus finds for an expression now."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expr)["data"]["result"]
        return found

    def ready(self) -> bool:
        """Whether it serves."""
        try:
            self._ask("GET", "/-/ready")
        except (OSError, StartError):
            return False
        return True

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise StartError(f"{self.name} answers {answer.status} to {path}: {text[:500]}")
        return json.loads(text) if text[:1] in {"{", "["} else text


@contextmanager
def prometheus(folder: Path, config: str, *options: str) -> Iterator[Server]:
    """Prometheus with this configuration and further options; it keeps its series in `folder`.

    Raises:
        StartError: it ended, or does not answer.
    """
    file = folder / "prometheus.yaml"
    file.write_text(config)
    flags = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}", *options]
    with _running("prometheus", folder, flags) as server:
        yield server


@contextmanager
def alertmanager(folder: Path, config: str) -> Iterator[Server]:
    """Alertmanager with this configuration, and without peers.

    Raises:
        StartError: it ended, or does not answer.
    """
    file = folder / "alertmanager.yaml"
    file.write_text(config)
    flags = [f"--config.file={file}", f"--storage.path={folder / 'data'}", "--cluster.listen-address="]
    with _running("alertmanager", folder, flags) as server:
        yield server


@contextmanager
def _running(name: str, folder: Path, flags: Sequence[str]) -> Iterator[Server]:
    log = folder / "log"
    with ports.held() as port:
        server, listen = Server(name, folder, port), f"--web.listen-address=127.0.0.1:{port}"
        with log.open("wb") as output:
            process = subprocess.Popen([*debian.command(name), *flags, listen], stdout=output, stderr=output)

        def ended() -> bool:
            if process.poll() is not None:
                raise StartError(f"{name} ended: {log.read_text(errors='replace')[-500:]}")
            return False

        try:
            wait_until(name, lambda: server.ready() or ended(), seconds=60, every=0.1)
            yield server
        finally:
            process.kill()
            process.wait()
