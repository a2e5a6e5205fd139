"""Connection strings: TLS as the policy asks for it, and never a secret in what is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dns import resolver
from pymongo.errors import ConfigurationError

from apm_operator.backup.connection import connect, connection_string, redacted, tool_config
from apm_operator.backup.errors import ConfigError, SourceError
from apm_operator.backup.job import Mongo
from apm_operator.backup.mongodump import Options, arguments
from apm_operator.backup.scope import Target

URI = "mongodb://u:ge%40heim@one:1,two:2/agents?replicaSet=r&tlsInsecure=true"


def _mongo(tmp_path: Path, uri: str = URI, **files: str) -> Mongo:
    (tmp_path / "uri").write_text(uri + "\n")
    return Mongo(uri_file=str(tmp_path / "uri"), **files)


@pytest.mark.parametrize(
    ("uri", "files", "expected"),
    [
        (URI, {}, "mongodb://u:ge%40heim@one:1,two:2/?replicaSet=r&tlsInsecure=true&authSource=agents"),
        ("mongodb://h/agents", {}, "mongodb://h/"),
        ("mongodb://u@h/a?authSource=b", {}, "mongodb://u@h/?authSource=b"),
        ("mongodb+srv://h", {}, "mongodb+srv://h/"),
        (
            "mongodb://h/?ssl=false&tlsInsecure=true&w=1",
            {"ca_file": "/c a"},
            "mongodb://h/?w=1&tls=true&tlsCAFile=/c%20a",
        ),
        ("mongodb://h", {"client_certificate_file": "/c"}, "mongodb://h/?tls=true&tlsCertificateKeyFile=/c"),
    ],
)
def test_the_string_that_everybody_gets(tmp_path, uri, files, expected):
    assert connection_string(_mongo(tmp_path, uri, **files)) == expected


@pytest.mark.parametrize("text", ["", "http://h", "mongodb://", "mongodb://[geheim", "geheim"])
def test_what_is_no_connection_string_is_not_shown(tmp_path, text):
    with pytest.raises(ConfigError, match="no connection string") as caught:
        connection_string(_mongo(tmp_path, text))
    assert "geheim" not in str(caught.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="in none: No such file"):
        connection_string(Mongo(uri_file="/nowhere/none"))


def test_texts_lose_the_password_however_it_is_written(tmp_path):
    mongo = _mongo(tmp_path)
    for secret in (URI, connection_string(mongo), "ge%40heim", "ge@heim"):
        assert "heim" not in redacted(f"can't use {secret}: no", mongo)


def test_the_tools_find_the_string_in_a_file_without_a_name(tmp_path):
    with tool_config(_mongo(tmp_path)) as file:
        assert b"ge%40heim" in Path(f"/proc/self/fd/{file}").read_bytes()
        assert "memfd" in os.readlink(f"/proc/self/fd/{file}")  # noqa: PTH115 - a Path would resolve it
        target = Target("shop", None, ("a", "b"))
        command = arguments(target, Options(_mongo(tmp_path), "nearest"), file)
    assert command[-3:] == ["--db=shop", "--excludeCollection=a", "--excludeCollection=b"]
    assert "heim" not in " ".join(command)


def test_a_name_server_that_is_away_is_worth_another_try(tmp_path, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise ConfigurationError("The resolution lifetime expired after 21.2 seconds")

    monkeypatch.setattr(resolver, "resolve", away)
    with pytest.raises(SourceError, match="hosts of the connection string can't be found") as caught:
        connect(_mongo(tmp_path, "mongodb+srv://u:geheim@cluster.example.com/"))
    assert caught.value.again
    assert "geheim" not in str(caught.value)
    with pytest.raises(ConfigError, match="can't be used"):
        connect(_mongo(tmp_path, "mongodb://u:geheim@one,two/?directConnection=true"))
