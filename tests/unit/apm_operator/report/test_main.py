"""The exit code and the termination message of a Job, which decide whether another pod tries."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apm_operator.backup.report import Report as Ending
from apm_operator.report import __main__ as program
from apm_operator.report.errors import SendError
from apm_operator.report.work import Done
from cluster.settings import REPOSITORY
from fakes.serving import free_port

JOB = {
    "namespace": "shop",
    "name": "daily",
    "cronJob": "daily-report",
    "seconds": 86_400,
    "sliceSeconds": 3600,
    "timeZone": "Etc/UTC",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Ending]]:
    """Runs the program with something else in the place of its work."""

    def ran(work: Any, job: dict[str, Any] | None = None) -> tuple[int, Ending]:
        log = tmp_path / "ended"
        monkeypatch.setenv("APM_JOB", json.dumps(job or JOB))
        monkeypatch.setenv("APM_TERMINATION_LOG", str(log))
        monkeypatch.setattr(program, "read", lambda: program.Settings(job=json.dumps(job or JOB), termination_log=log))
        monkeypatch.setattr(program, "make", work)
        return program.main(), Ending.model_validate_json(log.read_text())

    return ran


def failing(error: Exception) -> Any:
    async def make(*_: Any) -> Done:
        raise error

    return make


def test_what_was_done_is_told(run: Any):
    async def make(*_: Any) -> Done:
        return Done("Completed", "The report was sent to Slack.")

    code, told = run(make)
    assert (code, told.result, told.reason) == (0, "Succeeded", "Completed")
    assert told.message == "The report was sent to Slack."


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (SendError("Slack can't be reached", again=True), 75, "NotSent"),
        (SendError("Slack has refused it"), 1, "NotSent"),
        (RuntimeError("secret-value"), 1, "InternalError"),
    ],
)
def test_a_failure_says_whether_another_pod_may_try(run: Any, error: Exception, code: int, reason: str):
    found, told = run(failing(error))
    assert (found, told.result, told.reason) == (code, "Failed", reason)
    assert "secret-value" not in told.message


def test_one_that_takes_too_long_ends(run: Any):
    async def make(*_: Any) -> Done:
        await program.asyncio.sleep(60)
        raise AssertionError

    code, told = run(make, JOB | {"deadline": 0.05})
    assert (code, told.reason) == (1, "DeadlineExceeded")


def test_a_long_message_fits_the_termination_message(run: Any):
    code, told = run(failing(SendError('"\u2603\n' * 3000)))
    assert code == 1
    assert len(told.to_json().encode()) <= 4096


def test_what_is_no_configuration_is_told_by_its_field(run: Any):
    code, told = run(failing(AssertionError()), {**JOB, "seconds": "many"})
    assert (code, told.reason) == (1, "ConfigInvalid")
    assert "seconds" in told.message


def test_a_pod_that_is_to_end_leaves_the_rest_to_the_next_one(tmp_path: Path):
    listener, port = free_port()
    with listener:
        listener.listen()
        listener.settimeout(30)
        config, log = tmp_path / "kubeconfig", tmp_path / "ended"
        config.write_text(kubeconfig(port))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}",
            "KUBECONFIG": str(config),
            "APM_JOB": json.dumps(JOB),
            "APM_TERMINATION_LOG": str(log),
        }
        with subprocess.Popen([sys.executable, "-m", "apm_operator.report"], env=environment) as process:
            try:
                with listener.accept()[0]:  # it is at work, and never answered
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(20) == 75
            finally:
                process.kill()
    assert Ending.model_validate_json(log.read_text()).reason == "Stopped"


def kubeconfig(port: int) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
