import shutil
import socket
from pathlib import Path

import pytest

from cluster import ports
from cluster.errors import MachineError


@pytest.fixture
def owner(tmp_path: Path):
    folder = tmp_path / "owner"
    folder.mkdir()
    return folder


def test_claims_differ_and_are_released(tmp_path: Path, owner: Path):
    claims = tmp_path / "claims"
    claimed = ports.claim(claims, owner, 5)
    assert len(set(claimed)) == 5
    ports.release(claims, owner)
    assert list(claims.iterdir()) == []


def test_a_port_in_use_is_not_claimed(tmp_path: Path, owner: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(ports.random, "sample", lambda *_: [taken.getsockname()[1]])
        with pytest.raises(MachineError, match="free TCP ports"):
            ports.claim(tmp_path / "claims", owner, 1)


def test_a_claim_holds_while_its_owner_exists(tmp_path: Path, owner: Path, monkeypatch: pytest.MonkeyPatch):
    claims = tmp_path / "claims"
    [port] = ports.claim(claims, owner, 1)
    monkeypatch.setattr(ports.random, "sample", lambda *_: [port])
    with pytest.raises(MachineError):
        ports.claim(claims, tmp_path, 1)
    shutil.rmtree(owner)
    assert ports.claim(claims, tmp_path, 1) == [port]
