import pytest

from unit.apm_operator.world import World


@pytest.fixture
def world() -> World:
    return World()
