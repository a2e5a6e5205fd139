"""Handshakes in memory, without sockets."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from agent_runtime.tls import contexts
from agent_runtime.tls.contexts import PortContext, port_context
from agent_runtime.tls.material import Material, Renewal
from fakes.authority import Authority, client_context, pod

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[PortContext, ssl.SSLContext]:
    """A port that takes three handshakes at a time, and a client of it."""
    monkeypatch.setattr(contexts, "MOST_HANDSHAKES", 3)
    authority = Authority()
    mounts = pod(tmp_path / "pod", authority, "tested")
    renewal = Renewal(Material.mounted(mounts.tls, mounts.trust), port_context)
    return PortContext(ssl.PROTOCOL_TLS_SERVER, renewal), client_context(authority, tmp_path)


def _begin(port: PortContext) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    return port.wrap_bio(come, go, server_side=True), come, go


def _finish(port: PortContext, client: ssl.SSLContext) -> None:
    server, come, go = _begin(port)
    theirs = client.wrap_bio(go, come, server_hostname="127.0.0.1")
    for each in (theirs, server, theirs, server):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert server.version() == "TLSv1.3"


def test_handshakes_that_have_ended_leave_room(port):
    context, client = port
    for _ in range(10):
        _finish(context, client)
    for _ in range(10):
        server, come, _ = _begin(context)
        come.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ssl.SSLError, match="HTTP_REQUEST"):
            server.do_handshake()


def test_handshakes_that_do_not_end_are_bounded(port, monkeypatch):
    context, client = port
    held = [_begin(context) for _ in range(3)]
    refused, _, _ = _begin(context)
    with pytest.raises(ssl.SSLError, match="too many handshakes"):
        refused.do_handshake()
    monkeypatch.setattr(contexts, "HANDSHAKE_SECONDS", 0.0)
    _finish(context, client)
    assert held
