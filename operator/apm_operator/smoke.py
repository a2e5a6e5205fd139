"""What `helm test` runs: a small agent is made, becomes ready, answers, and is removed.

`python -m apm_operator.smoke --namespace NAME --no-ask` works from a shell with a kubeconfig as well: to be asked, the
agent must be reachable at its Service's name.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import ssl
import sys
from typing import Any

import aiohttp

from apm_operator import settings
from apm_operator.errors import NotFound, OperatorError
from apm_operator.kinds import AGENTS, CONFIG_MAPS
from apm_operator.kube import Kube, connect

_OWN_PODS = {"app.kubernetes.io/component": "smoke-test"}
"""A label of the chart's test Pod, which the agent has to let in."""
_QUESTION = "Are you there?"
_ANSWER = "You said: Are you there?"


class SmokeTestError(OperatorError):
    """The agent did not do what it should have done."""


def manifest(name: str) -> dict[str, Any]:
    """An agent that needs neither a model server nor MongoDB."""
    return {
        "apiVersion": AGENTS.api_version,
        "kind": AGENTS.kind,
        "metadata": {"name": name},
        "spec": {
            "description": "Made by `helm test`; it is removed at the test's end.",
            "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "You said: {{ last }}"}]}],
            "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "with": {}}]},
            "auth": {"anonymous": True},
            "network": {"ingressFrom": [{"podSelector": {"matchLabels": _OWN_PODS}}]},
        },
    }


async def ready_url(kube: Kube, namespace: str, name: str, *, seconds: float) -> str:
    """Wait until the agent is ready, and return where it is reached.

    Raises:
        SmokeTestError: it was not ready in time; says what the operator reported last.
    """
    last = "the operator has written no status: is it running, and does it watch this namespace?"
    try:
        async with asyncio.timeout(seconds):
            while True:
                status = (await kube.get(AGENTS, namespace, name)).get("status") or {}
                for condition in status.get("conditions") or ():
                    if condition["type"] == "Ready":
                        last = f"{condition['reason']}: {condition['message']}"
                        if condition["status"] == "True":
                            return str(status["url"])
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise SmokeTestError(f"{namespace}/{name} was not ready after {seconds:g} s. {last}") from None


async def authorities(kube: Kube, namespace: str, name: str) -> ssl.SSLContext:
    """Trusts those who may have signed the agent's certificate, and nobody else."""
    trust = await kube.get(CONFIG_MAPS, namespace, f"{name}-trust")
    return ssl.create_default_context(cadata=trust["data"]["ca.crt"])


async def ask(url: str, question: str, trust: ssl.SSLContext | None = None) -> str:
    """The text of an agent's answer.

    Raises:
        SmokeTestError: the agent can't be reached, or refuses.
    """
    body = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": question}]}}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), raise_for_status=True) as session,
            session.post(f"{url}/runs/wait", json=body, ssl=trust or True) as response,
        ):
            values = await response.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SmokeTestError(f"{url} did not answer: {error or type(error).__name__}") from error
    return str(values["messages"][-1]["content"])


async def run(namespace: str, *, seconds: float, asking: bool) -> None:
    """Make, await, ask and remove an agent; it is removed whatever happens.

    Raises:
        OperatorError: the API server refused, or the agent failed the test.
    """
    kube = await connect(settings.read().kubeconfig)
    name = f"apm-smoke-{secrets.token_hex(3)}"
    try:
        made = await kube.create(AGENTS, namespace, manifest(name))
        print(f"made the agent {namespace}/{name}")  # noqa: T201  this is its user interface
        try:
            url = await ready_url(kube, namespace, name, seconds=seconds)
            print(f"it is ready at {url}")  # noqa: T201
            if asking:
                answer = await ask(url, _QUESTION, await authorities(kube, namespace, name))
                if answer != _ANSWER:
                    raise SmokeTestError(f"it answered {answer!r} instead of {_ANSWER!r}")
                print("it answers, and shows the certificate that it should")  # noqa: T201
        finally:
            with contextlib.suppress(NotFound):
                await kube.delete(AGENTS, namespace, name, made["metadata"]["uid"])
    finally:
        await kube.close()


def main() -> None:
    """Run the test; a failure is one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m apm_operator.smoke", description="Run a small agent as a test.")
    parser.add_argument("--namespace", required=True, help="namespace for the agent; the operator must watch it")
    parser.add_argument("--seconds", type=float, default=180, help="time for the agent to become ready")
    parser.add_argument("--no-ask", dest="asking", action="store_false", help="do not send the agent a message")
    options = parser.parse_args()
    try:
        asyncio.run(run(options.namespace, seconds=options.seconds, asking=options.asking))
    except OperatorError as error:
        sys.exit(f"error: {error}")
    print("passed")  # noqa: T201


if __name__ == "__main__":
    main()
