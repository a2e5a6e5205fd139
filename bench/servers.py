"""The servers that are compared, each as a process that runs `bench.chain`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.packages import PIP, NotThereError, installed
from bench.process import cpu_seconds, memory

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    """One that is ready."""

    url: str
    pid: int
    ready_cpu: float
    """CPU seconds that it had used when it was ready."""

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return cpu_seconds(self.pid)

    def rss(self) -> float:
        """Resident memory in MiB."""
        return memory(self.pid)["rss"]


@contextmanager
def agent(uri: str, database: str, works: dict[str, Any] | None = None) -> Iterator[Server]:
    """One pod's process of ours, with its state in MongoDB; runs `bench.chain` unless the spec tells how it works."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mongodb").mkdir()
        (folder / "mongodb" / "uri").write_text(uri)
        state = {"mongodb": {"uriSecretRef": {"name": "mongodb", "key": "uri"}, "database": database}}
        spec = {"auth": {"anonymous": True}, **(works or {"graph": "bench.chain:graph"}), "state": state}
        config = {"agent": {"name": "bench", "namespace": "bench"}, "spec": spec}
        (folder / "agent.json").write_text(json.dumps(config))
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "APM_CONFIG": str(folder / "agent.json"),
            "APM_SECRETS_DIR": name,
            "APM_LOG_LEVEL": "WARNING",
            "HOST": "127.0.0.1",
        }
        with _started(lambda _: [sys.executable, "-m", "agent_runtime"], folder, environment, "/readyz") as server:
            yield server


@contextmanager
def langgraph_dev() -> Iterator[Server]:
    """LangGraph's server for development, which keeps its state in memory.

    Raises:
        NotThereError: It can't be installed.
    """
    program = _environment() / "bin" / "langgraph"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "bench" / "chain.py", folder / "chain.py")
        config = {"dependencies": ["."], "graphs": {"agent": "./chain.py:graph"}}
        (folder / "langgraph.json").write_text(json.dumps(config))
        environment = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LOG_LEVEL": "warning"}
        options = ["--no-browser", "--no-reload", "--host=127.0.0.1", "--n-jobs-per-worker=100"]
        argv = [str(program), "dev", *options]
        with _started(lambda port: [*argv, f"--port={port}"], folder, environment, "/ok") as server:
            yield server


def _environment() -> Path:
    """The folder of its virtual environment."""
    return installed("venv-langgraph-dev", "langgraph-dev.txt", "langgraph dev's virtual environment", _commands)


def _commands(folder: Path, lock: Path) -> list[list[str]]:
    return [[sys.executable, "-m", "venv", str(folder)], [str(folder / "bin/python"), *PIP, "-r", str(lock)]]


@contextmanager
def _started(
    argv: Callable[[int], list[str]], folder: Path, environment: dict[str, str], ready: str
) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    whole = {**os.environ, "PORT": str(port), **environment}
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(argv(port), env=whole, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while not _answers(url + ready):
            if child.poll() is not None or time.monotonic() > deadline:
                said = (folder / "log").read_text().strip().splitlines()
                raise NotThereError(f"{argv(port)[0]} did not become ready: {said[-1] if said else 'it told nothing'}")
            time.sleep(0.02)
        yield Server(url, child.pid, cpu_seconds(child.pid))
    finally:
        child.terminate()
        try:
            child.wait(70)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
