import pytest

from apm_operator import settings
from apm_operator.errors import SettingsError


def test_without_any_setting_there_is_a_default_for_each():
    found = settings.read({})
    assert found.watch_namespaces == ()
    assert found.leader_election
    assert found.runtime_image.startswith("ghcr.io/valeo-neuroerp/apm-agent-runtime:")


def test_namespaces_are_a_set_separated_by_commas():
    assert settings.read({"APM_WATCH_NAMESPACES": "b, a,,b"}).watch_namespaces == ("a", "b")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("APM_LEADER_ELECTION", "yes", "true, false"),
        ("APM_LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR"),
        ("APM_LOG_FORMAT", "xml", "json, text"),
        ("APM_RUNTIME_IMAGE_PULL_POLICY", "Often", "Always, IfNotPresent, Never"),
        ("APM_CONCURRENCY", "0", "1 or more"),
        ("APM_RESYNC_SECONDS", "soon", "a number"),
        ("APM_RESYNC_SECONDS", "nan", "1 or more"),
    ],
)
def test_a_wrong_value_says_what_it_may_be(name: str, value: str, told: str):
    with pytest.raises(SettingsError, match=f"{name}=.*{told}"):
        settings.read({name: value})


def test_prometheus_is_an_address():
    assert settings.read({}).prometheus.url == ""
    assert settings.read({"APM_PROMETHEUS_URL": "https://p:9090"}).prometheus.url == "https://p:9090"
    with pytest.raises(SettingsError, match="APM_PROMETHEUS_URL"):
        settings.read({"APM_PROMETHEUS_URL": "prometheus:9090"})
