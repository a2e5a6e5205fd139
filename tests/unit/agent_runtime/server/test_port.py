"""The port with TLS, over real sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
import time
from contextlib import suppress

import httpx
import pytest

from agent_runtime.agent import Agent
from agent_runtime.clients import Clients
from agent_runtime.errors import ConfigError
from agent_runtime.server.port import port_config
from agent_runtime.settings import Settings
from agent_runtime.spec.identity import agent_uri
from agent_runtime.tls.material import Material
from fakes.agents import CHAT, ECHO, config, running
from fakes.authority import Authority, client_context, pod, swap

SPEC = {"models": [ECHO], "workflow": CHAT}
_LOAD_SECONDS = 4.0
_LIFE = dt.timedelta(seconds=2)


def _handshake(url: str, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A connection after its handshake; with TLS 1.3 a refused client learns of it when it reads."""
    address = httpx.URL(url)
    plain = socket.create_connection((address.host, address.port or 0))
    return context.wrap_socket(plain, server_hostname=address.host, session=session)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_it_serves_tls_of_1_2_and_later(tmp_path):
    authority = Authority()
    async with running(SPEC, mounts=pod(tmp_path / "pod", authority, "tested")) as it:
        assert it.url.startswith("https:")
        context = client_context(authority, tmp_path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with await asyncio.to_thread(_handshake, it.url, context) as connection:
            assert connection.version() == "TLSv1.3"
            assert connection.selected_alpn_protocol() == "http/1.1"
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with await asyncio.to_thread(_handshake, it.url, context) as connection:
            assert connection.version() == "TLSv1.2"
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # without it the client itself would not offer so old a version
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(_handshake, it.url, context)
        async with httpx.AsyncClient() as plain:
            with pytest.raises(httpx.TransportError):
                await plain.get(it.url.replace("https", "http") + "/livez")


async def test_a_certificate_of_a_foreign_authority_is_refused(tmp_path):
    authority = Authority()
    async with running(SPEC, mounts=pod(tmp_path / "pod", authority, "tested")) as it:
        foreign = client_context(authority, tmp_path, agent_uri("tests", "other"), by=Authority("foreign"))
        async with httpx.AsyncClient(verify=foreign) as http:
            with pytest.raises(httpx.TransportError):
                await http.get(f"{it.url}/livez")
        async with httpx.AsyncClient(verify=client_context(authority, tmp_path)) as http:
            assert (await http.get(f"{it.url}/livez")).status_code == 200


async def test_an_authority_that_left_the_bundle_is_trusted_no_more(tmp_path):
    old, new = Authority("old"), Authority("new")
    mounts = pod(tmp_path / "pod", old, "tested")
    async with running(SPEC, mounts=mounts) as it:
        theirs = client_context(old, tmp_path, agent_uri("tests", "other"))
        theirs.load_verify_locations(cadata=new.pem)
        async with httpx.AsyncClient(verify=theirs) as before, httpx.AsyncClient(verify=theirs) as after:
            assert "connection" not in (await before.get(f"{it.url}/livez")).headers
            mounts.certify(new, agent_uri("tests", "tested"))
            mounts.allow(new)
            # The connection that is there gives its answer and ends.
            last = await before.get(f"{it.url}/livez")
            assert (last.status_code, last.headers["connection"]) == (200, "close")
            for http in (before, after):
                with pytest.raises(httpx.TransportError):
                    await http.get(f"{it.url}/livez")


async def test_a_connection_ends_with_its_clients_certificate(tmp_path):
    authority = Authority()
    async with running(SPEC, mounts=pod(tmp_path / "pod", authority, "tested")) as it:
        # A certificate ends at a whole second: less than two of them may be over before the first request.
        certificate, key = authority.issue((agent_uri("tests", "other"),), dt.timedelta(seconds=4))
        (tmp_path / "short.pem").write_text(certificate + key)
        context = client_context(authority, tmp_path)
        context.load_cert_chain(tmp_path / "short.pem")
        async with asyncio.timeout(20), httpx.AsyncClient(verify=context) as http:
            while (await http.get(f"{it.url}/livez")).headers.get("connection") != "close":  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.05)
            with pytest.raises(httpx.TransportError):
                await http.get(f"{it.url}/livez")


async def test_files_that_do_not_fit_leave_the_old_certificate(tmp_path):
    authority = Authority()
    mounts = pod(tmp_path / "pod", authority, "tested")
    async with running(SPEC, mounts=mounts) as it:
        (certificate, _), (_, key) = authority.issue(), authority.issue()
        swap(mounts.tls, {"tls.crt": certificate, "tls.key": key})
        context = client_context(authority, tmp_path)
        async with httpx.AsyncClient(verify=context) as http:
            assert (await http.get(f"{it.url}/livez")).status_code == 200
        swap(mounts.tls, dict(zip(("tls.crt", "tls.key"), authority.issue((), host="renewed"), strict=True)))
        async with httpx.AsyncClient(verify=context) as http:
            with pytest.raises(httpx.ConnectError, match=r"127\.0\.0\.1"):
                await http.get(f"{it.url}/livez")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "tls.crt: No such file or directory"),
        ({"tls.crt": "", "tls.key": ""}, "can't be used"),
        ({"tls.crt": "a", "tls.key": "b"}, "can't be used"),
    ],
)
async def test_an_agent_without_certificates_says_so(tmp_path, files, reason):
    mounts = pod(tmp_path / "pod", Authority(), "tested")
    swap(mounts.tls, files)
    settings = Settings(tls_dir=mounts.tls, trust_dir=mounts.trust)
    with pytest.raises(ConfigError, match=reason):
        port_config(Agent(config(SPEC, tls=True), settings))


async def test_a_resumed_session_does_not_outlive_its_certificate(tmp_path):
    authority, caller = Authority(), agent_uri("tests", "other")
    mounts = pod(tmp_path / "pod", authority, "tested", callers=("tests/other",))
    async with running(SPEC, mounts=mounts) as it:
        context = client_context(authority, tmp_path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 resumes by tickets alone, which are not given out
        certificate, key = authority.issue((caller,), 2 * _LIFE)
        ends = time.time() + 2 * _LIFE.total_seconds()
        (tmp_path / "short.pem").write_text(certificate + key)
        context.load_cert_chain(tmp_path / "short.pem")

        def ask(session: ssl.SSLSession | None) -> tuple[bytes, bool, ssl.SSLSession | None]:
            with _handshake(it.url, context, session) as connection:
                connection.settimeout(5)
                connection.sendall(b"GET /info HTTP/1.1\r\nhost: x\r\n\r\n")
                answer = connection.recv(65536)
                with suppress(ssl.SSLError):
                    connection.unwrap()  # a session that was not ended well is forgotten
                return answer, bool(connection.session_reused), connection.session

        answer, _, session = await asyncio.to_thread(ask, None)
        assert b" 200 " in answer
        answer, reused, _ = await asyncio.to_thread(ask, session)
        assert (b" 200 " in answer, reused) == (True, True)
        await asyncio.sleep(max(0.0, ends - time.time()))  # until it has ended, whatever happens
        try:
            answer, _, _ = await asyncio.to_thread(ask, session)
        except OSError:
            answer = b""
        assert answer == b""


async def test_renewed_certificates_and_authorities_under_load_cost_no_call(tmp_path):
    """Certificates live 2 s and are renewed every 0.3 s at both ends; every 5th time with another authority."""
    authorities = [Authority("first"), Authority("second")]
    serving, calling = (pod(tmp_path / name, authorities[0], name) for name in ("tested", "calling"))
    clients = Clients(Material.mounted(calling.tls, calling.trust))
    counts, seen = {"kept": 0, "new": 0}, set()
    async with running(SPEC, mounts=serving) as it:
        uri = agent_uri("tests", "tested")
        pooled, end = clients.to(it.url, uri), time.monotonic() + _LOAD_SECONDS
        assert pooled is not None

        async def load(kind: str) -> None:
            headers = {"connection": "close"} if kind == "new" else {}
            while time.monotonic() < end:
                async with pooled.stream("GET", f"{it.url}/livez", headers=headers) as answer:
                    await answer.aread()
                    connection = answer.extensions["network_stream"].get_extra_info("ssl_object")
                    seen.add(connection.getpeercert()["serialNumber"])
                assert answer.status_code == 200
                counts[kind] += 1

        async def renew() -> None:
            number = 0
            while time.monotonic() < end:
                await asyncio.sleep(0.3)
                number += 1
                signing = authorities[number // 5 % 2]
                for mounts, name in ((serving, "tested"), (calling, "calling")):
                    mounts.allow(*authorities)
                    mounts.certify(signing, agent_uri("tests", name), _LIFE)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(renew())
            for number in range(8):
                tasks.create_task(load("new" if number % 4 == 0 else "kept"))
    await clients.close()
    assert min(counts.values()) > 20, counts
    assert len(seen) > 5


async def test_an_agent_that_is_about_to_end_lets_each_connection_go_after_its_answer():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as client:
        assert "connection" not in (await client.get("/ok")).headers
        it.agent.drain()
        answer = await client.get("/ok")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
