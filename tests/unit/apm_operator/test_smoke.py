from typing import Any

import pytest
from aiohttp import web

from agent_runtime.spec.checks import check
from apm_operator.api.agentdeployment import AgentDeploymentSpec
from apm_operator.smoke import SmokeTestError, ask, manifest, ready_url


class FakeKube:
    """Answers `get` with one status after the other, the last one for ever."""

    def __init__(self, *statuses: dict[str, Any] | None) -> None:
        self.statuses = list(statuses)

    async def get(self, *_: object) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"status": status} if status else {}


def status(truth: str, reason: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": truth, "reason": reason, "message": "so it is"}
    return {"conditions": [condition], "url": "http://smoke.test.svc:8080"}


def test_the_agent_is_valid():
    assert check(AgentDeploymentSpec.model_validate(manifest("smoke")["spec"])) == ()


async def test_it_waits_until_the_agent_is_ready():
    kube = FakeKube(None, status("Unknown", "RollingOut"), status("True", "Ready"))
    assert await ready_url(kube, "test", "smoke", seconds=30) == "http://smoke.test.svc:8080"


@pytest.mark.parametrize(
    ("last", "message"),
    [(None, "does it watch this namespace"), (status("False", "ImagePullFailed"), "ImagePullFailed: so it is")],
)
async def test_it_says_what_the_operator_reported_last(last, message):
    with pytest.raises(SmokeTestError, match=message):
        await ready_url(FakeKube(last), "test", "smoke", seconds=0.05)


async def test_it_asks(agent):
    assert await ask(agent(web.json_response({"messages": [{"content": "hello"}]})), "hi") == "hello"


async def test_a_refusal_is_told(agent):
    with pytest.raises(SmokeTestError, match="did not answer: 503"):
        await ask(agent(web.Response(status=503)), "hi")


@pytest.fixture
async def agent():
    """Starts a server that gives one answer to `POST /runs/wait`, and returns its address."""
    answers: list[web.Response] = []

    async def answer(_: web.Request) -> web.Response:
        return answers.pop()

    app = web.Application()
    app.router.add_post("/runs/wait", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]

    def prepare(response: web.Response) -> str:
        answers.append(response)
        return f"http://{host}:{port}"

    yield prepare
    await runner.cleanup()
