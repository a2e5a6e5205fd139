"""The whole product in the local cluster: MongoDB, the operator by its chart, agents as pods."""

from collections.abc import Iterator

import pytest

from cluster.installation import TESTS_NAMESPACE, Installation
from cluster.provider import choose

_AGENTS = "agentdeployments.apm.valeo-neuroerp.com"


@pytest.fixture(scope="session")
def cluster() -> Installation:
    """The cluster with MongoDB and the operator of this work tree; it stays up afterwards."""
    provider = choose()
    provider.up()
    installation = Installation(provider)
    installation.ensure()
    installation.copy_mongodb_secret(TESTS_NAMESPACE)
    return installation


@pytest.fixture
def namespace(cluster: Installation) -> Iterator[str]:
    """A namespace for agents, with the Secret apm-mongodb; without any agent before and after."""
    _remove_agents(cluster)
    yield TESTS_NAMESPACE
    _remove_agents(cluster)


def _remove_agents(cluster: Installation) -> None:
    within = f"--namespace={TESTS_NAMESPACE}"
    cluster.kubectl("delete", _AGENTS, "--all", within, "--timeout=120s")
    cluster.kubectl("wait", "--for=delete", "pod", "--all", within, "--timeout=120s")
