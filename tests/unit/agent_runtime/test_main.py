"""The program as the kubelet starts and ends it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import Any

import httpx
import pytest

from agent_runtime.spec.identity import agent_uri
from fakes.agents import CHAT, config, person
from fakes.authority import Authority, client_context, pod
from fakes.processes import DEADLINE, start, wait_ready
from fakes.serving import free_port

SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "in the end", "delay": "1s"}]}


def test_it_serves_and_ends_its_runs_before_it_ends(tmp_path):
    listener, port = free_port()
    listener.close()
    text = config({"models": [SLOW], "workflow": CHAT}).model_dump_json(by_alias=True, exclude_none=True)
    # Long enough to connect once more on a machine that is busy, before the port is closed.
    with start(tmp_path, text, port, APM_DRAIN_DELAY_SECONDS="3") as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_ready(url, process)
            body = {"assistant_id": "agent", "input": person("hi")}
            with (
                httpx.Client(verify=False) as other,  # noqa: S501 - there is no TLS, and no list of authorities to read
                httpx.stream("POST", f"{url}/runs/wait", json=body, timeout=DEADLINE) as answer,
            ):
                process.send_signal(signal.SIGTERM)
                assert other.get(f"{url}/livez").status_code == 200
                values = json.loads(answer.read())
        except BaseException:
            process.kill()
            raise
        out, _ = process.communicate(timeout=DEADLINE)
    assert values["messages"][-1]["content"] == "in the end"
    assert process.returncode == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    ended = next(line for line in lines if line["event"] == "run ended")
    assert ended["status"] == "success"
    assert ended["run_id"]
    assert "in the end" not in out


def test_it_takes_up_new_certificates(tmp_path):
    """In a process of its own, since its event loop has TLS code of its own."""
    authority = Authority()
    mounts = pod(tmp_path / "pod", authority, "tested")
    listener, port = free_port()
    listener.close()
    agent = config({"models": [SLOW], "workflow": CHAT}, tls=True)
    text = agent.model_dump_json(by_alias=True, exclude_none=True)
    folders = {"APM_TLS_DIR": str(mounts.tls), "APM_TRUST_DIR": str(mounts.trust)}
    context = client_context(authority, tmp_path, agent_uri("tests", "other"))
    with start(tmp_path, text, port, **folders) as process:
        url = f"https://127.0.0.1:{port}"
        try:
            wait_ready(url, process, context)
            stalled = socket.create_connection(("127.0.0.1", port), timeout=20)
            stalled.send(b"\x16")  # the first byte of a handshake
            serials = []
            for _ in range(2):
                with httpx.Client(verify=context) as http, http.stream("GET", f"{url}/livez") as answer:
                    shown = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
                serials.append(shown["serialNumber"])
                mounts.certify(authority, agent_uri("tests", "tested"))
            with stalled:  # ended long before asyncio's limit of 60 s
                assert stalled.recv(1) == b""
            with httpx.Client(verify=context) as idle:
                idle.get(f"{url}/livez")
                process.terminate()
                # Without waiting for the client that stays connected: that would be the drain timeout, 40 s.
                out, _ = process.communicate(timeout=15)
        finally:
            process.kill()
    assert serials[0] != serials[1]
    assert "took up new certificates" in out


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("{", {}, "config file"),
        ('{"agent": {"name": "a", "namespace": "n"}, "spec": {"grpah": "x"}}', {}, "spec.grpah: Extra inputs"),
        (config({"models": [SLOW], "workflow": CHAT}, tls=True).model_dump_json(by_alias=True), {}, "tls.crt"),
        ('{"agent": {"name": "a", "namespace": "n"}, "spec": {}}', {}, "set either `workflow` or `graph`"),
        (config({"models": [SLOW], "workflow": CHAT, "auth": None}).model_dump_json(by_alias=True), {}, "needs `tls`"),
        ("{}", {"APM_TERMINATION_LOG": "/nonexistent/log"}, "agent: Field required"),
    ],
)
def test_a_config_that_cannot_run_is_told_in_one_line(tmp_path, text, environment, message):
    with start(tmp_path, text, 1, **environment) as process:
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert message in err
    assert len(err.splitlines()) == 1
    written = (tmp_path / "termination-log").read_text()
    assert (message in written) == (not environment)


@pytest.mark.parametrize("value", ["many", "0", "-1", "inf", "nan"])
def test_a_setting_that_is_no_number_is_told_in_one_line(tmp_path, value):
    with start(tmp_path, "{}", 1, APM_MAX_RUNS=value) as process:
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert err == f"agent_runtime: APM_MAX_RUNS is '{value}': set it to a number from 1 on\n"


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [("APM_LOG_LEVEL", "loud", "error or critical"), ("APM_LOG_FORMAT", "xml", "json or text")],
)
def test_a_setting_that_is_no_known_word_is_told_in_one_line(tmp_path, name, value, known):
    with start(tmp_path, "{}", 1, **{name: value}) as process:
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert err.startswith(f"agent_runtime: {name} is '{value}': set it to ")
    assert err.endswith(f"{known}\n")


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("start", 2)])
def test_what_is_no_command_is_told_the_commands(word, code):
    it = subprocess.run(
        [sys.executable, "-m", "agent_runtime", word], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert it.returncode == code
    assert "[knowledge|migrate ...]" in it.stderr
    assert len(it.stderr.splitlines()) == 1
    assert (word in it.stderr) == bool(code)
