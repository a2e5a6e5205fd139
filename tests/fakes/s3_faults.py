"""Stands before an S3 server and does what networks and servers do on bad days."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Kind = Literal["fail", "hang", "cut upload", "cut answer", "lose answer", "full"]
HALF = 2


@dataclass
class Faults:
    """What goes wrong with which requests, and what was asked.

    Attributes:
        matches: the requests that it concerns: method and path with query.
        times: how many of them.
    """

    target: int
    port: int = 0
    kind: Kind | None = None
    matches: Callable[[str, str], bool] = lambda _method, _path: True
    times: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, kind: Kind, times: int, matches: Callable[[str, str], bool]) -> None:
        """The next `times` requests that match go wrong."""
        self.kind, self.matches, self.times = kind, matches, times

    def take(self, method: str, path: str) -> Kind | None:
        """What is to become of a request."""
        with self._lock:
            self.asked.append((method, path))
            if self.times > 0 and self.matches(method, path):
                self.times -= 1
                return self.kind
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: Faults

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle_one_request(self) -> None:
        """A client that hangs up is no error here."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _pass_on(self) -> None:
        kind = self.faults.take(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if kind == "cut upload":
            self.rfile.read(length // HALF)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if kind == "hang":
            self.faults.over.wait(30)
            self.close_connection = True
            return
        if kind in {"fail", "full"}:
            self._refuse(kind)
            return
        self._forward(kind, body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - the standard library's names

    def _refuse(self, kind: Kind) -> None:
        status, code = (500, "InternalError") if kind == "fail" else (507, "InsufficientStorage")
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if self.command != "HEAD" else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _forward(self, kind: Kind | None, body: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.faults.target, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if kind == "lose answer":
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"date", "server", "connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        size = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", size)
        self.end_headers()
        if kind == "cut answer":
            self.wfile.write(content[: len(content) // HALF])
            self.close_connection = True
            return
        self.wfile.write(content)


@contextmanager
def before(port: int) -> Iterator[Faults]:
    """A server on a free loopback port before that of `port`."""
    faults = Faults(port)
    handler = type("Handler", (_Handler,), {"faults": faults})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    faults.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield faults
    finally:
        faults.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
