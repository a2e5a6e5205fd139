"""Records what the pods' processes of some agents count while crowds of users come and go as in five weeks.

Each agent is a process as in a pod, with its state in MongoDB and a model server beside it; what is written is what its
own `/metrics` has grown by. A quarter of an hour is over when its runs have ended, and so takes a fraction of a second:
were it as long for each, the busy ones would be a load 4,000 times as high as those that they stand for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import uvloop

from apm_operator.anomalies.counts import Counts
from bench import servers
from bench.anomalies import recording
from bench.compare import database_at, mongodb_at
from bench.crowds import CROWDS, WEEK, WEEKS, Crowd
from bench.whims import Models, Whim
from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent / "recordings"
_PATIENCE = 0.5
"""Seconds; a run that takes longer, since its model call is tried again, is counted in the quarter in which it ends."""
_FAILED = ("error", "timeout")


@dataclass
class Recorded:
    """One agent while it is recorded."""

    crowd: Crowd
    session: aiohttp.ClientSession
    before: Counts = field(default_factory=Counts)
    rows: list[recording.Row] = field(default_factory=list)

    async def live(self, weeks: int, gap: float, models: Models) -> None:
        """Let the crowd do what it does in some weeks, and note what is counted."""
        async with asyncio.TaskGroup() as tasks:
            for quarter in range(weeks * WEEK):
                models.whims[self.crowd.name] = whim(self.crowd, quarter)
                runs = []
                for _ in range(self.crowd.runs(quarter)):
                    runs.append(tasks.create_task(self._run()))
                    await asyncio.sleep(self.crowd.random.expovariate(1 / gap))
                if runs:
                    await asyncio.wait(runs, timeout=_PATIENCE)
                await self._note(quarter)

    async def _note(self, quarter: int) -> None:
        async with self.session.get("/metrics") as response:
            response.raise_for_status()
            now = counted(await response.text())
        grown = (getattr(now, name) - getattr(self.before, name) for name in ("runs", "failed", "seconds", "tokens"))
        self.rows.append(recording.Row(Counts(*grown), self.crowd.made(quarter)))
        self.before = now
        if quarter % WEEK == WEEK - 1:
            print(f"{self.crowd.name}: {quarter // WEEK + 1} weeks", flush=True)

    async def _run(self) -> None:
        body = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "what is new " * 20}]}}
        async with self.session.post("/runs/wait", json=body) as response:
            await response.read()


def whim(crowd: Crowd, quarter: int) -> Whim:
    """How the crowd's model answers then."""
    made, long = crowd.made(quarter), 4 if crowd.job(quarter) else 1
    return Whim(
        0.3 if made == "refusing model" else crowd.failing,
        crowd.seconds * (6 if made == "slow model" else 1),
        crowd.words * long * (4 if made == "long answers" else 1),
    )


def counted(text: str) -> Counts:
    """What the operator asks Prometheus for, from what it would have scraped."""
    runs, failed, seconds, tokens = 0.0, 0.0, 0.0, 0.0
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("apm_agent_runs_total{"):
            runs += float(value)
            failed += float(value) if any(f'status="{status}"' in name for status in _FAILED) else 0.0
        elif name == "apm_agent_run_duration_seconds_sum":
            seconds += float(value)
        elif name.startswith("apm_agent_model_tokens_total{"):
            tokens += float(value)
    return Counts(runs, failed, seconds, tokens)


def spec(crowd: Crowd, models: str) -> dict[str, Any]:
    """An agent that asks its model once."""
    model = {"name": "default", "model": crowd.name, "baseURL": f"{models}/v1"}
    workflow = {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "next": "end"}]}
    return {"models": [model], "workflow": workflow}


async def record(uri: str, crowds: Iterable[Crowd], gap: float, weeks: int) -> list[Recorded]:
    """All of these agents at the same time."""
    models = Models()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(models.app()))
        agents = []
        for crowd in crowds:
            models.whims[crowd.name] = whim(crowd, 0)
            database = stack.enter_context(database_at(uri))
            server = stack.enter_context(servers.agent(uri, database, spec(crowd, url)))
            timeout, many = aiohttp.ClientTimeout(120), aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
            session = aiohttp.ClientSession(server.url, timeout=timeout, connector=many, trust_env=False)
            agents.append(Recorded(crowd, await stack.enter_async_context(session)))
        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                tasks.create_task(agent.live(weeks, gap, models))
    return agents


def main() -> None:
    """Record, and write a file for each agent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mongodb", metavar="URI", default=os.environ.get("APM_TEST_MONGODB"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--agent", action="append", choices=[crowd.name for crowd in CROWDS], help="all by default")
    parser.add_argument("--gap", type=float, default=0.025, help="seconds from one run to the next, on average")
    parser.add_argument("--weeks", type=int, default=WEEKS)
    options = parser.parse_args()
    with mongodb_at(options.mongodb) as uri, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        crowds = [crowd for crowd in CROWDS if crowd.name in (options.agent or (crowd.name,))]
        agents = runner.run(record(uri, crowds, options.gap, options.weeks))
    for agent in agents:
        recording.write(options.folder / f"{agent.crowd.name}.csv", agent.rows)


if __name__ == "__main__":
    main()
