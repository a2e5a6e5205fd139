"""The whole product in the local cluster: MongoDB, the operator by its chart, agents as pods."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cluster import keda
from cluster.installation import AGENTS_NAMESPACE, Installation
from cluster.provider import choose
from e2e.support.space import Space, wait_until_removed

# One judges the calls of the others; the other takes the operator away and brings it back.
_LAST = ("test_rights.py", "test_chart.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        last = item.path.parent.name == "e2e" and item.path.name in _LAST
        return 1 + _LAST.index(item.path.name) if last else 0

    items.sort(key=place)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Installation]:
    """The cluster with MongoDB and the operator of this work tree; it stays up afterwards."""
    provider = choose()
    provider.up()
    installation = Installation(provider)
    installation.ensure()
    yield installation
    wait_until_removed(installation)


@pytest.fixture(scope="session", autouse=True)
def began(cluster: Installation) -> str:
    """When the tests began, with the operator installed: a time as the audit log writes it."""
    del cluster
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def with_keda(cluster: Installation) -> Iterator[None]:
    """The cluster has KEDA, and the operator uses it."""
    keda.ensure(cluster.cluster, AGENTS_NAMESPACE)
    cluster.ensure_operator("autoscaling.keda=true")
    yield
    wait_until_removed(cluster)  # with the rights that it takes
    cluster.ensure_operator()


@pytest.fixture
def space(cluster: Installation) -> Iterator[Space]:
    """A namespace of the test's own, removed at its end."""
    space = Space(cluster, f"apm-e2e-{secrets.token_hex(4)}")
    space.create()
    try:
        yield space
    finally:
        space.remove()
