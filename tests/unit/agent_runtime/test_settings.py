from pathlib import Path

import pytest

from agent_runtime.errors import ConfigError
from agent_runtime.settings import Settings


def test_a_pod_of_the_operator_heeds_nothing_that_its_environment_brings_along():
    own = {"APM_MANAGED": "true", "APM_CONFIG": "/etc/apm/other.json", "POD_NAME": "one-abc"}
    foreign = {"PORT": "5432", "HOST": "db", "APM_TRUST_DIR": "/mine", "APM_MAX_RUNS": "many", "APM_THREADS": "0"}
    settings = Settings.from_environment(own | foreign)
    assert settings == Settings(config_file=Path("/etc/apm/other.json"), pod_name="one-abc")


def test_elsewhere_everything_can_be_set():
    settings = Settings.from_environment({"PORT": "5432", "APM_THREADS": "7"})
    assert (settings.port, settings.threads) == (5432, 7)
    with pytest.raises(ConfigError, match="APM_MAX_RUNS is 'many'"):
        Settings.from_environment({"APM_MAX_RUNS": "many"})
