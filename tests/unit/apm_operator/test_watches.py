from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from apm_operator.echoes import Echoes
from apm_operator.kinds import AGENTS, PODS
from apm_operator.watches import WatchedContent, WatchMonitor


def test_a_watch_is_as_old_as_its_last_sign_of_life():
    now = 0.0
    monitor = WatchMonitor([(AGENTS, None), (PODS, "shop")], lambda: now)
    assert not monitor.all_open()
    now = 10.0
    monitor.seen("/apis/apm.valeo-neuroerp.com/v1alpha1/agentdeployments")
    now = 25.0
    assert monitor.ages() == {("agentdeployments", ""): 15.0, ("pods", "shop"): 25.0}
    monitor.seen("/api/v1/namespaces/shop/pods")
    assert monitor.all_open()
    assert monitor.ages()["pods", "shop"] == 0.0


def test_a_watch_of_something_else_does_not_count():
    monitor = WatchMonitor([(AGENTS, None)], lambda: 0.0)
    monitor.seen("/api/v1/namespaces/shop/pods")
    assert not monitor.all_open()


async def test_a_watch_hands_on_what_is_no_echo():
    """Whole lines, however they were cut into chunks on their way."""
    own, other = event("10"), event("11")
    stream = own + b"\n" + other + b"\n" + event("12") + b"\n"
    for cut in range(len(stream)):
        echoes = Echoes()
        echoes.expect("10")
        echoes.expect("12")
        monitor = WatchMonitor([(PODS, None)], lambda: 0.0)
        content: Any = SimpleNamespace(iter_chunked=lambda _, cut=cut: chunks(stream[:cut], stream[cut:]))
        watched = WatchedContent(content, monitor, echoes, "/api/v1/pods")
        assert b"".join([chunk async for chunk in watched.iter_chunked(1)]) == other + b"\n"
        assert monitor.all_open()


def event(version: str) -> bytes:
    return b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"%s"}}}' % version.encode()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
