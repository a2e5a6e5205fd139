"""Runs end as they should: at their limits, at interrupts, and when the pod has to go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.runtime import RunControl
from langgraph.types import interrupt
from structlog.testing import capture_logs

from agent_runtime.runs.events import EventLog
from agent_runtime.state.memory_saver import MemorySaver
from agent_runtime.state.records import Run
from fakes.agents import ECHO, RunningAgent, person, running

SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "late", "delay": "30s"}]}
LOOP = {
    "state": {"n": {"type": "integer", "reduce": "sum"}},
    "start": "again",
    "limits": {"steps": 5},
    "nodes": [{"name": "again", "uses": "set", "with": {"values": {"n": "1"}}, "next": "again"}],
}


class _State(TypedDict, total=False):
    question: str
    answer: str


def approval() -> StateGraph[Any]:
    """A graph that waits for a person."""

    async def ask(state: _State) -> dict[str, Any]:
        return {"answer": interrupt({"ask": state.get("question", "?")})}

    return StateGraph(_State).add_node("ask", ask).add_edge(START, "ask")


def failing() -> StateGraph[Any]:
    """A graph whose code fails as its input says, with a message that no store would take."""

    async def fail(state: _State) -> dict[str, Any]:
        raise {"time": TimeoutError, "value": ValueError}[state["question"]]("\ud800" * 5000)

    return StateGraph(_State).add_node("fail", fail).add_edge(START, "fail")


def quoting() -> StateGraph[Any]:
    """A graph that fails with a long message, of which a secret stands where it is cut."""

    async def fail(_: _State) -> dict[str, Any]:
        raise ValueError("x" * 1990 + "marked-secret-of-the-pod")

    return StateGraph(_State).add_node("fail", fail).add_edge(START, "fail")


def broken() -> StateGraph[Any]:
    """A graph whose code fails when it is loaded."""
    raise RuntimeError("no such luck")


async def _error(it: RunningAgent, **options: Any) -> dict[str, Any]:
    thread = (await it.client.threads.create())["thread_id"]
    values = await it.client.runs.wait(thread, "agent", raise_error=False, **options)
    run = (await it.client.runs.list(thread))[0]
    return {**values["__error__"], "status": run["status"]}


@pytest.mark.parametrize("durability", [None, "async"])
async def test_a_node_begins_when_what_the_one_before_it_did_is_kept(monkeypatch, tmp_path, durability):
    writing, written = asyncio.Event(), asyncio.Event()
    put = MemorySaver.aput

    async def slow_put(saver: MemorySaver, config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        if metadata["step"] == 1:
            writing.set()
            await written.wait()
        return await put(saver, config, checkpoint, metadata, versions)

    monkeypatch.setattr(MemorySaver, "aput", slow_put)
    told = tmp_path / "told"
    async with running({"graph": "fakes.steps:graph"}) as it, asyncio.timeout(10):
        given = {"done": [], "file": str(told)}
        run = asyncio.create_task(it.client.runs.wait(None, "agent", input=given, durability=durability))
        await writing.wait()
        # The other way, the next node begins within these turns of the loop.
        for _ in range(200):
            await asyncio.sleep(0)
        assert ("two begins" in told.read_text()) == (durability == "async")
        written.set()
        assert (await run)["done"] == ["one", "two", "three"]


async def test_a_loop_ends_at_its_limit_of_steps():
    async with running({"workflow": LOOP}) as it:
        error = await _error(it, input={})
        lower = await _error(it, input={}, config={"recursion_limit": 2})
    assert error == {"error": "StepLimit", "message": "the run took more than its limit of 5 steps", "status": "error"}
    assert "limit of 2 steps" in lower["message"]


async def test_a_run_ends_at_its_limit_of_time():
    nodes = [{"name": "answer", "uses": "model", "next": "end"}]
    async with running(
        {"models": [SLOW], "workflow": {"start": "answer", "limits": {"wallClock": "200ms"}, "nodes": nodes}}
    ) as it:
        error = await _error(it, input=person("hi"))
    assert error["status"] == "timeout"
    assert error["message"] == "the run took longer than its limit of 0.2 s"


async def test_a_node_ends_at_its_limit_and_goes_on_elsewhere():
    nodes = [
        {"name": "slow", "uses": "model", "timeout": "100ms", "onError": "quick", "next": "end"},
        {"name": "quick", "uses": "model", "with": {"model": "echo"}, "next": "end"},
    ]
    spec = {"models": [SLOW, {**ECHO, "name": "echo"}], "workflow": {"start": "slow", "nodes": nodes}}
    async with running(spec) as it:
        values = await it.client.runs.wait(None, "agent", input=person("hi"))
    assert values["messages"][-1]["content"] == "You said: hi"


async def test_a_failed_node_is_tried_again():
    retry = {"attempts": 3, "initial": "1ms", "max": "2ms", "errors": ["Any"]}
    nodes = [{"name": "a", "uses": "set", "with": {"values": {"n": "[1][5]"}}, "retry": retry, "next": "end"}]
    async with running({"workflow": {"state": {"n": {"type": "integer"}}, "start": "a", "nodes": nodes}}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        parts = [
            part async for part in it.client.runs.stream(thread, "agent", input={}, stream_mode=["tasks", "values"])
        ]
    assert parts[-1].event == "error"
    assert "can't be evaluated" in parts[-1].data["message"]


async def test_a_graph_of_ones_own_can_wait_for_a_person():
    async with running({"graph": f"{__name__}:approval"}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        values = await it.client.runs.wait(thread, "agent", input={"question": "Publish?"})
        assert values["__interrupt__"][0]["value"] == {"ask": "Publish?"}
        found = await it.client.threads.get(thread)
        assert found["status"] == "interrupted"
        assert next(iter(found["interrupts"].values()))[0]["value"] == {"ask": "Publish?"}
        assert (await it.client.runs.list(thread))[0]["status"] == "interrupted"
        values = await it.client.runs.wait(thread, "agent", command={"resume": "yes"})
        assert values == {"question": "Publish?", "answer": "yes"}
        assert (await it.client.threads.get_state(thread))["next"] == []


@pytest.mark.parametrize("where", [f"{__name__}:broken", f"{__name__}:nothing", "no_such_package:graph", "json:dumps"])
async def test_a_graph_that_cannot_be_loaded_is_a_config_error(where):
    from agent_runtime.errors import ConfigError  # noqa: PLC0415 - for this test alone

    with pytest.raises(ConfigError, match=r"can't be loaded|is a"):
        async with running({"graph": where}):
            pass


async def test_a_run_in_a_sub_workflow_can_be_drained_and_goes_on():
    """The drain stops the inner graph too, and what was done there is not done again."""
    step = {"uses": "model", "with": {"save": "done"}}
    inner = {
        "name": "inner",
        "state": {"messages": {"type": "messages"}, "done": {"type": "array", "reduce": "append"}},
        "start": "one",
        "nodes": [{"name": "one", **step, "next": "two"}, {"name": "two", **step, "next": "end"}],
    }
    outer = {
        "state": inner["state"],
        "start": "sub",
        "nodes": [{"name": "sub", "uses": "workflow", "with": {"ref": "inner"}, "next": "end"}],
    }
    models = [{"name": "default", "provider": "scripted", "script": [{"reply": "step", "delay": "300ms"}]}]
    async with running({"models": models, "workflow": outer, "workflows": [inner]}) as it:
        it.agent.store.durable = True  # as if another pod could go on
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("go"))
        worker = it.agent.runs.worker
        async with asyncio.timeout(10):
            while (job := worker.job(run["run_id"])) is None:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
        job.control.request_drain()
        values = await it.client.runs.join(thread, run["run_id"])
        attempts = await it.agent.store.run(thread, run["run_id"])
    assert attempts is not None
    assert attempts.attempt == 2
    assert values["done"] == ["step", "step"]


async def test_a_full_pod_runs_what_waits_as_soon_as_it_can():
    models = [{"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "100ms"}]}]
    workflow = {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "next": "end"}]}
    async with running({"models": models, "workflow": workflow}, max_runs=2) as it:
        waits = [asyncio.create_task(it.client.runs.wait(None, "agent", input=person("hi"))) for _ in range(6)]
        most = 0
        async with asyncio.timeout(5):
            while not all(wait.done() for wait in waits):
                most = max(most, len(it.agent.runs.worker._jobs))
                await asyncio.sleep(0.01)
        await asyncio.gather(*waits)
    assert most == 2


@pytest.mark.parametrize(("question", "kind"), [("time", "Timeout"), ("value", "ValueError")])
async def test_a_failure_of_own_code_is_told_shortly_and_as_its_own(question, kind):
    # Outside of a pod the log goes to a strict standard output, which takes no lone surrogate.
    with capture_logs():
        async with running({"graph": f"{__name__}:failing"}) as it:
            error = await _error(it, input={"question": question})
    assert error == {"error": kind, "message": "?" * 2000 + "...", "status": "error"}


async def test_no_part_of_a_secret_stays_where_a_message_is_cut(tmp_path):
    (tmp_path / "key").write_text("marked-secret-of-the-pod")
    with capture_logs():
        async with running({"graph": f"{__name__}:quoting"}, secrets=tmp_path) as it:
            error = await _error(it, input={"question": "?"})
    assert error["message"].startswith("x" * 1990 + "[redact")


class _Cut(InMemorySaver):
    """Loses the connection before it keeps what a superstep came to; the tasks' own writes are kept."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step: int | None = step

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        if metadata["step"] == self.step:
            raise ConnectionError("the pod is killed here")
        return await super().aput(config, checkpoint, metadata, new_versions)


@pytest.mark.parametrize("step", [0, 1, 2])
async def test_a_run_goes_on_whose_pod_ended_between_two_checkpoints(step):
    nodes = [
        {"name": "one", "uses": "set", "with": {"values": {"n": "1"}}, "next": "two"},
        {"name": "two", "uses": "set", "with": {"values": {"n": "2"}}},
    ]
    flow = {"state": {"n": {"type": "integer", "reduce": "sum"}}, "start": "one", "nodes": nodes}
    async with running({"workflow": flow}) as it:
        executor = it.agent.runs.following.executor
        saver = executor.graph.checkpointer = _Cut(step)
        request = {"body": {"assistant_id": "agent", "input": {"n": 4}}}
        run = Run("r1", "t1", request, attempt=1)
        first = await executor.execute(run, EventLog(), RunControl())
        saver.step = None
        second = await executor.execute(replace(run, attempt=2), EventLog(), RunControl())
        values = await executor.values(run, second.checkpoint)
    assert first.status == "error"
    assert second.status == "success"
    assert values == {"n": 7}
