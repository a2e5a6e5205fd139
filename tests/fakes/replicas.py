"""Several processes of one agent, as pods are, that share a MongoDB."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langgraph_sdk import get_client

from cluster import ports
from fakes.agents import config
from fakes.processes import start, wait_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from langgraph_sdk.client import LangGraphClient


@dataclass(frozen=True)
class Replica:
    """One process."""

    process: subprocess.Popen[str]
    client: LangGraphClient

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """Ends it as a node that fails does."""
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Fleet(list[Replica]):
    """The processes that run; the index of one stays its own when it is replaced."""

    def __init__(self, stack: AsyncExitStack, start_one: Callable[[int], tuple[subprocess.Popen[str], str]]) -> None:
        super().__init__()
        self._stack = stack
        self._start_one = start_one

    async def start(self, numbers: Sequence[int]) -> None:
        """Starts processes in the places of others, and waits until they are ready."""
        started = []
        for number in numbers:
            process, url = self._start_one(number)
            self._stack.enter_context(process)
            self._stack.callback(_end, process)
            started.append((number, process, url))
        for number, process, url in started:
            await asyncio.to_thread(wait_ready, url, process)
            client = get_client(url=url)
            self._stack.push_async_callback(client.aclose)
            self[number : number + 1] = [Replica(process, client)]


@asynccontextmanager
async def replicas(
    folder: Path,
    uri: str,
    database: str,
    count: int = 2,
    *,
    spec: dict[str, Any] | None = None,
    own: Sequence[Mapping[str, str]] = (),
    **environment: str,
) -> AsyncIterator[Fleet]:
    """Processes that run `fakes.steps`, or the `spec` given; each is waited for until it is ready.

    `own` has the environment of each one beside what all have.
    """
    mounted = folder / "apm-mongodb"
    mounted.mkdir(exist_ok=True)
    (mounted / "uri").write_text(uri)
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    whole = {**(spec or {"graph": "fakes.steps:graph"}), "state": {"mongodb": mongodb}}
    text = config(whole).model_dump_json(by_alias=True, exclude_none=True)

    def start_one(number: int) -> tuple[subprocess.Popen[str], str]:
        port = stack.enter_context(ports.held())
        place = folder / f"replica{number}"
        place.mkdir(exist_ok=True)
        settings: dict[str, str] = {
            "APM_SECRETS_DIR": str(folder),
            "APM_LOG_LEVEL": "warning",
            "POD_NAME": f"replica{number}",
        }
        # A pipe that nobody reads would hold up a process that has much to tell.
        with (place / "log").open("a") as log:
            each = own[number] if number < len(own) else {}
            process = start(place, text, port, log, **settings, **environment, **each)
        return process, f"http://127.0.0.1:{port}"

    async with AsyncExitStack() as stack:
        fleet = Fleet(stack, start_one)
        await fleet.start(range(count))
        yield fleet


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGCONT)
        process.kill()
