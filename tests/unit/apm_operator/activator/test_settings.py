"""What the activator is told by its environment."""

import pytest

from apm_operator.activator.settings import Settings, SettingsError, read

LEAST = {"APM_UPSTREAM_HOST": "bar-awake", "APM_UPSTREAM_PORT": "8443", "APM_PORT": "8443"}


def test_the_least():
    assert read(LEAST) == Settings(host="bar-awake", upstream_port=8443, port=8443)


def test_all():
    more = {"APM_STATUS_PORT": "1", "APM_MOST_CONNECTIONS": "2", "APM_HOLD_SECONDS": "0.5", "APM_IDLE_SECONDS": "9"}
    found = read(LEAST | more)
    assert (found.status_port, found.most, found.hold, found.idle) == (1, 2, 0.5, 9.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"APM_UPSTREAM_HOST": ""},
        {"APM_PORT": ""},
        {"APM_UPSTREAM_PORT": "none"},
        {"APM_PORT": "-1"},
        {"APM_PORT": "²"},
        {"APM_HOLD_SECONDS": "soon"},
        {"APM_IDLE_SECONDS": "-1"},
        {"APM_IDLE_SECONDS": "nan"},
        {"APM_DRAIN_SECONDS": "inf"},
    ],
)
def test_what_is_wrong_is_told_by_its_name(wrong):
    (name,) = wrong
    with pytest.raises(SettingsError, match=name):
        read(LEAST | wrong)
