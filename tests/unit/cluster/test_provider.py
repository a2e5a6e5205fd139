from dataclasses import replace
from pathlib import Path

import pytest

from cluster import provider, settings
from cluster.bare import Bare
from cluster.errors import ClusterError
from cluster.kind import Kind


@pytest.fixture(autouse=True)
def no_cluster_and_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(provider, "_engine", lambda: None)
    monkeypatch.setattr(settings, "read", lambda read=settings.read: replace(read(), cluster=tmp_path / "cluster"))


def ask(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(settings, "read", lambda read=settings.read: replace(read(), provider=name))


def test_bare_is_the_default_without_an_engine(monkeypatch: pytest.MonkeyPatch):
    ask(monkeypatch, "")
    assert isinstance(provider.choose(), Bare)


def test_an_engine_that_answers_is_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(provider, "_engine", lambda: "podman")
    ask(monkeypatch, "")
    assert provider.choose() == Kind("podman")
    ask(monkeypatch, "bare")
    assert isinstance(provider.choose(), Bare)


def test_a_bare_cluster_is_still_the_one_when_an_engine_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(provider, "_engine", lambda: "docker")
    ask(monkeypatch, "")
    settings.read().cluster.mkdir()
    assert isinstance(provider.choose(), Bare)
    ask(monkeypatch, "kind")
    assert provider.choose() == Kind("docker")


@pytest.mark.parametrize(("name", "message"), [("kind", "neither answers"), ("minikube", "choose bare or kind")])
def test_what_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, message: str):
    ask(monkeypatch, name)
    with pytest.raises(ClusterError, match=message):
        provider.choose()
