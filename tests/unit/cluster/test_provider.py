from dataclasses import replace

import pytest

from cluster import provider, settings
from cluster.bare import Bare
from cluster.errors import ClusterError
from cluster.kind import Kind


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(provider, "_engine", lambda: None)


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


@pytest.mark.parametrize(("name", "message"), [("kind", "neither answers"), ("minikube", "choose bare or kind")])
def test_what_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, message: str):
    ask(monkeypatch, name)
    with pytest.raises(ClusterError, match=message):
        provider.choose()
