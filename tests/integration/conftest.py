"""A real API server for the integration tests: no nodes, so no pod ever runs."""

import os
import secrets
from collections.abc import Iterator

import pytest

from cluster import crds, mongodb
from cluster.controlplane import ControlPlane
from cluster.installation import AGENTS_NAMESPACE, Installation
from cluster.instances import control_plane as start_control_plane
from cluster.provider import choose


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """An API server with the CRDs of `crds/`, namespace deletion and garbage collection."""
    with start_control_plane() as plane:
        crds.install(plane)
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own; deleted at its end, without waiting until it is gone."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """URI of the MongoDB in the local cluster, which is brought up where it is not; use a database of your own.

    `APM_TEST_MONGODB` names another one, such as a real mongod.
    """
    if given := os.environ.get("APM_TEST_MONGODB"):
        yield given
        return
    cluster = choose()
    cluster.up()
    Installation(cluster).ensure_mongodb()
    with cluster.reach(AGENTS_NAMESPACE, "mongodb", mongodb.PORT) as (host, port):
        yield mongodb.uri(cluster, AGENTS_NAMESPACE, host, port)
