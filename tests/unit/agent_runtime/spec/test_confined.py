"""The helper process: what it knows, and what becomes of it."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from agent_runtime.spec.confined import Confined, ConfinedError
from agent_runtime.spec.evaluator import EVALUATOR

HANDLER = "agent_runtime.spec.evaluator:evaluate"
LOOP = ["[1].map(x, x)", [], {}]


def test_it_knows_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("A_SECRET", "marked-secret")
    helper = Confined(HANDLER, LOOP)
    try:
        assert helper.ask(LOOP) == [1]
        assert helper._process is not None
        assert b"marked-secret" not in Path(f"/proc/{helper._process.pid}/environ").read_bytes()
    finally:
        helper.close()


def test_a_helper_that_died_is_replaced():
    helper = Confined(HANDLER, LOOP)
    try:
        helper.ask(LOOP)
        assert helper._process is not None
        helper._process.kill()
        helper._process.wait()
        with pytest.raises(ConfinedError):
            helper.ask(LOOP)
        assert helper.ask(LOOP) == [1]
    finally:
        helper.close()


def test_it_leaves_no_process():
    EVALUATOR.ask(LOOP)
    assert EVALUATOR._process is not None
    pid = EVALUATOR._process.pid
    EVALUATOR.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_works_with_many_open_files():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most < 1200:
        pytest.skip("this process may not have as many files as a pod")
    held = [os.dup(0) for _ in range(1100)]
    helper = Confined(HANDLER, LOOP)
    try:
        assert helper.ask(LOOP) == [1]
    finally:
        helper.close()
        for file in held:
            os.close(file)
