"""The whole product in the local cluster: MongoDB, the operator by its chart, agents as pods."""

import secrets
from collections.abc import Iterator

import pytest

from cluster.installation import Installation
from cluster.provider import choose
from e2e.support.space import Space, wait_until_removed

# It takes the operator away and brings it back.
_LAST = "test_chart.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == _LAST and item.path.parent.name == "e2e")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Installation]:
    """The cluster with MongoDB and the operator of this work tree; it stays up afterwards."""
    provider = choose()
    provider.up()
    installation = Installation(provider)
    installation.ensure()
    yield installation
    wait_until_removed(installation)


@pytest.fixture
def space(cluster: Installation) -> Iterator[Space]:
    """A namespace of the test's own, removed at its end."""
    space = Space(cluster, f"apm-e2e-{secrets.token_hex(4)}")
    space.create()
    try:
        yield space
    finally:
        space.remove()
