"""Work in a process of its own, which the kernel ends when it takes too much.

What a stranger's text makes of a pattern, a schema or an expression can take minutes and gigabytes, can't be
interrupted, and holds the interpreter's lock meanwhile.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_SECONDS = 1.0
WALL_SECONDS = 3.0
"""Longest wait for an answer where the pod gets little of a CPU; well below the lease of a run."""
MEMORY_BYTES = 128 << 20
"""What one answer may allocate, its question included."""
ANSWER_BYTES = 4 << 20

_HEAD = 4
_START_SECONDS = 20.0
_MAIN = "import sys; sys.path[:] = {path!r}; from agent_runtime.spec.confined import serve; serve({handler!r})"


class ConfinedError(ValueError):
    """The work failed, or took more than it may; says why."""


class Confined:
    """A helper process, started at the first use and anew after it was ended. Its methods may be called by any thread.

    It inherits nothing of the environment: what it works on comes from strangers, and the environment may hold secrets.
    """

    def __init__(self, handler: str, warm_up: Any) -> None:
        """`handler` is the function that answers, as `package.module:name`: plain data in and out, or a ValueError.

        `warm_up` is a first question, answered without limits: so that loading libraries does not count.
        """
        self._handler = handler
        self._warm_up = warm_up
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # One thread, since there is one process: who waits for it takes none of the threads that others need.
        self._waiting = ThreadPoolExecutor(1, thread_name_prefix="confined")
        atexit.register(self.close)

    def ask(self, question: Any) -> Any:
        """The answer to a question.

        Raises:
            ConfinedError: the handler refuses it, it is no JSON, or a limit was met.
        """
        try:
            asked = json.dumps(question).encode()
        except (TypeError, ValueError) as error:
            raise ConfinedError(f"its data is not plain: {error}") from None
        with self._lock:
            answer = self._ask(asked)
        if "error" in answer:
            raise ConfinedError(answer["error"])
        return answer["value"]

    async def ask_without_blocking(self, question: Any) -> Any:
        """As `ask`; the event loop goes on meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._waiting, self.ask, question)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, asked: bytes) -> dict[str, Any]:
        process = self._process or self._start()
        try:
            return _exchange(process, asked, WALL_SECONDS)
        except OSError:
            self._end()
            raise ConfinedError(
                f"it takes more than {CPU_SECONDS:g} s of CPU or {MEMORY_BYTES >> 20} MiB: "
                "work on less data, or split it over several nodes"
            ) from None

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN.format(path=sys.path, handler=self._handler)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
        try:
            _exchange(self._process, json.dumps(self._warm_up).encode(), _START_SECONDS)
        except OSError:
            self._end()
            raise ConfinedError("the process that works on it can't be started") from None
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _exchange(process: subprocess.Popen[bytes], asked: bytes, seconds: float) -> dict[str, Any]:
    """Raises OSError if the process ended, or gives no answer in time."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    # It reads all of a request before it writes, so that neither side waits for the other.
    process.stdin.write(len(asked).to_bytes(_HEAD) + asked)
    process.stdin.flush()
    deadline = time.monotonic() + seconds
    size = int.from_bytes(_receive(process.stdout.fileno(), _HEAD, deadline))
    answer: dict[str, Any] = json.loads(_receive(process.stdout.fileno(), size, deadline))
    return answer


def _receive(file: int, size: int, deadline: float) -> bytes:
    received = bytearray()
    # Not select.select, which takes no file above 1023: a pod may have more connections.
    ready = select.poll()
    ready.register(file, select.POLLIN)
    while len(received) < size:
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        piece = os.read(file, size - len(received))
        if not piece:
            raise BrokenPipeError
        received += piece
    return bytes(received)


def serve(handler: str) -> None:
    """The helper process: one answer to each request, until its standard input ends."""
    module, _, name = handler.partition(":")
    work = getattr(import_module(module), name)
    cpu_seconds = 0.0
    while head := sys.stdin.buffer.read(_HEAD):
        asked = sys.stdin.buffer.read(int.from_bytes(head))
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # its signal ends the process, also within a call
        answer = _answer(work, asked)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(len(answer).to_bytes(_HEAD) + answer)
        sys.stdout.buffer.flush()
        if not cpu_seconds:  # that was the warm-up
            _limit_memory()
            cpu_seconds = CPU_SECONDS


def _answer(work: Callable[[Any], Any], asked: bytes) -> bytes:
    try:
        value = work(json.loads(asked))
    except ValueError as error:
        return json.dumps({"error": str(error)}).encode()
    try:
        answer = json.dumps({"value": value}).encode()
    except (TypeError, ValueError) as error:
        return json.dumps({"error": f"its value is not plain: {error}"}).encode()
    if len(answer) > ANSWER_BYTES:
        return json.dumps({"error": f"its value has more than {ANSWER_BYTES >> 20} MiB"}).encode()
    return answer


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
