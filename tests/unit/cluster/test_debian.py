"""Programs out of Debian's packages."""

from pathlib import Path

import pytest

from cluster import debian, machine
from cluster.errors import MachineError


def test_a_package_is_unpacked_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APM_CACHE", str(tmp_path))
    said: list[list[str]] = []

    def run(argv: list[str | Path], **_: object) -> str:
        said.append([str(each) for each in argv])
        if argv[0] == "sh":
            (Path(argv[4]) / "amtool.deb").touch()
        if argv[0] == "dpkg-deb":
            (Path(argv[3]) / "usr/bin").mkdir(parents=True)
        return ""

    monkeypatch.setattr(machine, "run", run)
    found = debian.program("amtool")
    assert found == tmp_path / "debian/prometheus-alertmanager-0.25.0/usr/bin/amtool"
    assert said[0][-1] == "prometheus-alertmanager=0.25.0*"
    assert debian.program("alertmanager").parent == found.parent
    assert [each[0] for each in said] == ["sh", "dpkg-deb"]


def test_lists_are_read_anew_when_a_package_is_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APM_CACHE", str(tmp_path))
    said: list[str] = []

    def run(argv: list[str | Path], **_: object) -> str:
        said.append(str(argv[0]))
        if argv[0] == "sh":
            raise MachineError("E: Version '2.42.0*' for 'prometheus' was not found")
        return ""

    monkeypatch.setattr(machine, "run", run)
    monkeypatch.setattr(machine, "require_root", lambda _: None)
    with pytest.raises(MachineError, match="was not found"):
        debian.program("promtool")
    assert said == ["sh", "apt-get", "sh"]
    assert not list((tmp_path / "debian").glob("prometheus-*"))
