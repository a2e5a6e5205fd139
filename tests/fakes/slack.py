"""What takes messages as Slack does: each is kept, with the time at which it came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Message:
    """One that came.

    Attributes:
        at: seconds of `time.monotonic`.
        authorization: the header, "" where there is none.
    """

    at: float
    path: str
    authorization: str
    body: dict[str, Any]

    @property
    def title(self) -> str:
        """Of its one attachment."""
        return str(self.body["attachments"][0]["title"])

    @property
    def text(self) -> str:
        """Of its one attachment."""
        return str(self.body["attachments"][0]["text"])


@dataclass
class Slack:
    """The receiver, on loopback."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    refusal: str = ""
    """With what each message is answered instead of being kept."""

    def titled(self, start: str) -> list[Message]:
        """The messages whose titles begin so."""
        return [each for each in self.messages if each.title.startswith(start)]


@contextmanager
def running() -> Iterator[Slack]:
    """One that keeps what comes until the end."""
    slack = Slack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if slack.refusal:
                self.send_response(404)
                self.end_headers()
                self.wfile.write(slack.refusal.encode())
                return
            given = self.headers.get("Authorization", "")
            slack.messages.append(Message(time.monotonic(), self.path, given, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    slack.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
