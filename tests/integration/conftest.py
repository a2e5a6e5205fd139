"""A real API server for the integration tests: no nodes, so no pod ever runs."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from cluster import crds, installation, redisserver, s3server
from cluster.controlplane import ControlPlane
from cluster.instances import control_plane as start_control_plane
from cluster.redisserver import RedisServer
from cluster.s3server import S3Server


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


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with an empty bucket; use a prefix of your own."""
    with s3server.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may stop and start again."""
    with redisserver.running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """URI of the MongoDB in the local cluster, which is brought up where it is not; use a database of your own.

    `APM_TEST_MONGODB` names another one, such as a real mongod.
    """
    if given := os.environ.get("APM_TEST_MONGODB"):
        yield given
        return
    with installation.mongodb_uri() as uri:
        yield uri


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[str]:
    """Name of a database of the test's own; dropped at its end."""
    name = f"test_{secrets.token_hex(4)}"
    yield name
    with MongoClient(mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture
def mounted(tmp_path: Path, mongodb_uri: str) -> Path:
    """The folder in which a pod finds its Secrets, that of MongoDB among them."""
    folder = tmp_path / "secrets"
    (folder / "apm-mongodb").mkdir(parents=True)
    (folder / "apm-mongodb" / "uri").write_text(mongodb_uri)
    return folder
