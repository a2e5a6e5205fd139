import os
from pathlib import Path

import pytest

from cluster import machine
from cluster.errors import MachineError


def test_without_root_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="the cluster needs root: run it as root, or start Docker"):
        machine.require_root("the cluster")


def test_a_failed_command_says_what_it_said():
    with pytest.raises(MachineError, match="no such thing"):
        machine.run(["sh", "-c", "echo no such thing >&2; exit 3"])


def test_a_missing_program_is_named():
    with pytest.raises(MachineError, match="no-such-program is not installed"):
        machine.run(["no-such-program"])
    assert machine.run(["no-such-program"], check=False) == ""


def test_mounts_below_are_the_innermost_first_and_no_neighbour():
    mounts = machine.mounts_below(Path("/proc"))
    assert mounts[-1] == "/proc"
    assert machine.mounts_below(Path("/pro")) == []


def test_switches_go_back_to_what_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    switch = tmp_path / "net/forward"
    switch.parent.mkdir()
    switch.write_text("0\n")
    record = tmp_path / "record"
    monkeypatch.setattr(machine, "_SWITCHES", tmp_path)
    for _ in range(2):
        machine.set_switches({"net/forward": "1"}, record)
        assert switch.read_text() == "1"
    machine.restore_switches(record)
    assert switch.read_text() == "0"
    assert not record.exists()


def test_services_are_held_back_by_a_file_that_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(machine, "_POLICY", policy)
    with machine._services_held_back():
        left_behind = policy.read_text()
    assert not policy.exists()
    policy.write_text(left_behind)
    with machine._services_held_back():
        assert os.access(policy, os.X_OK)
    assert not policy.exists()


def test_a_policy_of_somebody_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(machine, "_POLICY", policy)
    policy.write_text("#!/bin/sh\nexit 0\n")
    with machine._services_held_back():
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()
