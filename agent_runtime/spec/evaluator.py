"""Evaluates expressions in a process of its own, which the kernel ends when one takes too much.

CEL counts iterations, not the work of each: `state.list.all(i, !state.text.contains(x))` over 10,000 items and one MiB
of text takes over a minute, and two calls of `replace` make gigabytes. It can't be interrupted, and holds the
interpreter's lock meanwhile.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import Any

CPU_SECONDS = 1.0
WALL_SECONDS = 3.0
"""Longest wait for an answer where the pod gets little of a CPU; well below the lease of a run."""
MEMORY_BYTES = 128 << 20
"""What one evaluation may allocate, its data included."""
ANSWER_BYTES = 4 << 20

_HEAD = 4
_START_SECONDS = 20.0
_MAIN = "import sys; sys.path[:] = {path!r}; from agent_runtime.spec.evaluator import answer_forever; answer_forever()"


class EvaluationError(ValueError):
    """The evaluation failed, or took more than it may."""


class Evaluator:
    """A helper process, started at the first use and anew after it was ended. Its methods may be called by any thread.

    It inherits nothing of the environment: expressions come from strangers, and the environment may hold secrets.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def evaluate(self, text: str, variables: tuple[str, ...], data: dict[str, Any]) -> Any:
        """The value of an expression.

        Raises:
            EvaluationError: it can't be evaluated, the data is no JSON, or a limit was met.
        """
        try:
            asked = json.dumps([text, variables, data]).encode()
        except (TypeError, ValueError) as error:
            raise EvaluationError(f"its data is not plain: {error}") from None
        with self._lock:
            answer = self._ask(asked)
        if "error" in answer:
            raise EvaluationError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, asked: bytes) -> dict[str, Any]:
        process = self._process or self._start()
        try:
            return self._exchange(process, asked, WALL_SECONDS)
        except OSError:
            self._end()
            raise EvaluationError(
                f"it takes more than {CPU_SECONDS:g} s of CPU or {MEMORY_BYTES >> 20} MiB: "
                "work on less data, or split it over several nodes"
            ) from None

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
        try:
            # Loading the libraries is not counted as the expression's time.
            self._exchange(self._process, json.dumps(["true", [], {}]).encode(), _START_SECONDS)
        except OSError:
            self._end()
            raise EvaluationError("the process that evaluates expressions can't be started") from None
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], asked: bytes, seconds: float) -> dict[str, Any]:
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

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


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


def answer_forever() -> None:
    """The helper process: one answer to each request, until its standard input ends."""
    from agent_runtime.spec.expression import Expression  # noqa: PLC0415 - which imports this module

    Expression.compile("[1].map(x, x)").evaluate_here({})
    _limit_memory()
    while head := sys.stdin.buffer.read(_HEAD):
        asked = sys.stdin.buffer.read(int.from_bytes(head))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # its signal ends the process, also within a call
        answer = _answer(asked)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(len(answer).to_bytes(_HEAD) + answer)
        sys.stdout.buffer.flush()


def _answer(asked: bytes) -> bytes:
    from agent_runtime.spec.expression import Expression, ExpressionError  # noqa: PLC0415 - which imports this module

    text, variables, data = json.loads(asked)
    try:
        value = Expression.compile(text, tuple(variables)).evaluate_here(data)
        answer = json.dumps({"value": value}).encode()
    except ExpressionError as error:
        return json.dumps({"error": str(error)}).encode()
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


EVALUATOR = Evaluator()
atexit.register(EVALUATOR.close)
