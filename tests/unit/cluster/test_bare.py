from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cluster import bare, gobuild, images, machine, network, ports
from cluster.bare import Bare
from cluster.controlplane import ControlPlane
from cluster.errors import MachineError
from cluster.node import Node


class Died(BaseException):
    """What ends a run in the middle."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine on which nothing is really done; lists what would have been."""
    done: list[str] = []

    def note(name: str, answer: Any = None) -> Any:
        return lambda *_, **__: (done.append(name), answer)[1]

    def runs() -> bool:
        """Whether the node was started and not stopped since."""
        ends = [name for name in done if name in ("Node start", "Node stop")]
        return ends[-1:] == ["Node start"]

    monkeypatch.setattr(bare, "exclusive", lambda _: nullcontext())
    monkeypatch.setattr(machine, "require_root", lambda _: None)
    monkeypatch.setattr(machine, "install_packages", lambda: None)
    monkeypatch.setattr(gobuild, "build", lambda _: None)
    monkeypatch.setattr(images, "build", lambda *_: images.Built("pause", Path("pause.tar")))
    monkeypatch.setattr(network, "require_free", lambda: None)
    monkeypatch.setattr(network, "exists", lambda: True)
    monkeypatch.setattr(network, "create", network._write_cni)
    monkeypatch.setattr(ports, "release", note("ports released"))
    for part, names in ((ControlPlane, ("start", "stop", "kubectl")), (Node, ("start", "stop"))):
        for name in names:
            monkeypatch.setattr(part, name, note(f"{part.__name__} {name}"))
        monkeypatch.setattr(part, "healthy", lambda _: runs())
    return done


def test_a_cluster_that_was_killed_while_it_started_is_made_anew(
    made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """All of its processes may run although the volumes are not there yet."""
    cluster = Bare(tmp_path / "cluster")
    with monkeypatch.context() as patch:
        patch.setattr(Bare, "_remove", lambda _: None)  # SIGKILL leaves no time for it
        patch.setattr(ControlPlane, "kubectl", lambda *_, **__: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            cluster.up()
    assert not cluster.running()
    before = len(made)
    cluster.up()
    assert made[before : before + 2] == ["Node stop", "ControlPlane stop"]
    assert cluster.running()
    before = len(made)
    cluster.up()
    assert made[before:] == []


@pytest.mark.parametrize("act", [Bare.up, Bare.down])
@pytest.mark.usefixtures("made")
def test_a_folder_with_other_things_is_left_alone(act: Any, tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(MachineError, match="holds something else than a cluster: set APM_CLUSTER_STATE"):
        act(Bare(tmp_path))
    assert (tmp_path / "precious").read_text() == "mine"


def test_down_takes_the_folder_and_nothing_without_one(made: list[str], tmp_path: Path):
    cluster = Bare(tmp_path / "cluster")
    cluster.down()
    assert made == []
    cluster.up()
    cluster.down()
    assert not cluster.directory.exists()


def test_down_goes_on_where_one_was_cut_off(made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cluster = Bare(tmp_path / "cluster")
    cluster.up()
    with monkeypatch.context() as patch:
        patch.setattr(ports, "release", lambda *_: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            cluster.down()
    assert not cluster.running()
    made.clear()
    cluster.down()
    assert "Node stop" in made
    assert not cluster.directory.exists()
