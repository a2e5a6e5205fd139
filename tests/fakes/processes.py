"""The runtime in a process of its own."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx
import pytest

from cluster import ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_runtime.spec.agent import RuntimeConfig

DEADLINE = 60.0


@dataclass
class Program:
    """A running program; `output` is all that it wrote, once it has ended."""

    url: str
    output: str = ""


@contextmanager
def program(folder: Path, config: RuntimeConfig, **environment: str) -> Iterator[Program]:
    """Runs an agent for the length of the block."""
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    with ports.held() as port:
        it = Program(f"http://127.0.0.1:{port}")
        output = folder / f"output-{port}"
        with output.open("w") as log, start(folder, text, port, log=log, **environment) as process:
            try:
                wait_ready(it.url, process)
                yield it
                process.terminate()
                process.wait(DEADLINE)
                it.output = output.read_text()
            finally:
                process.kill()


def start(folder: Path, text: str, port: int, log: IO[str] | None = None, **environment: str) -> subprocess.Popen[str]:
    """Starts the program with a config file's text, as a pod would; what it writes goes to `log`, or is read later."""
    (folder / "agent.json").write_text(text)
    (folder / "termination-log").touch()
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
    return subprocess.Popen(
        [sys.executable, "-m", "agent_runtime"],
        env={
            "PYTHONPATH": ":".join(paths),
            "APM_CONFIG": str(folder / "agent.json"),
            "APM_TERMINATION_LOG": str(folder / "termination-log"),
            "APM_DRAIN_DELAY_SECONDS": "0.2",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            **environment,
        },
        stdout=log or subprocess.PIPE,
        stderr=log or subprocess.PIPE,
        text=True,
    )


def wait_ready(url: str, process: subprocess.Popen[str], context: ssl.SSLContext | None = None) -> None:
    """Waits until it is ready; fails the test where it ends or takes too long."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", verify=context or False).status_code == 200:
                return
        time.sleep(0.05)  # asked without a pause, a process that is about to be ready would have less time for that
    pytest.fail(f"not ready: {process.poll()}")
