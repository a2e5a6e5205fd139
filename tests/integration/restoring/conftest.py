"""A place for backups, and a database with some of everything, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from integration.restores import Place, filled


@pytest.fixture
def client(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient(mongodb_uri) as it:
        yield it


@pytest.fixture
def place(tmp_path: Path, mongodb_uri: str) -> Place:
    return Place(tmp_path, mongodb_uri)


@pytest.fixture
def database(client) -> Iterator[str]:
    with filled(client) as name:
        yield name
