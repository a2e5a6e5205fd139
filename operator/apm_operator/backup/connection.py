"""How MongoDB is reached: one connection string for the library and for the tools, in no process's arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.read_preferences import Nearest

from apm_operator.backup import job
from apm_operator.backup.errors import ConfigError, SourceError

_PING = 10_000
_SCHEMES = ("mongodb", "mongodb+srv")


def connection_string(mongo: job.Mongo) -> str:
    """With the TLS of `mongo` and without a database, which mongodump would take for its `--db`.

    Raises:
        ConfigError: the file can't be read, or holds no connection string; what it holds is never shown.
    """
    name = Path(mongo.uri_file).name
    try:
        text = Path(mongo.uri_file).read_text(encoding="utf-8").strip()
        parts = urlsplit(text)
    except OSError as error:
        raise ConfigError(f"can't read the connection string in {name}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"what is in {name} is no connection string") from None
    if parts.scheme not in _SCHEMES or not parts.netloc:
        raise ConfigError(f"what is in {name} is no connection string: it begins with mongodb:// or mongodb+srv://")
    options = [option for option in parts.query.split("&") if option]
    names = {option.partition("=")[0].lower() for option in options}
    if "@" in parts.netloc and "authsource" not in names and parts.path.strip("/"):
        options.append(f"authSource={parts.path.strip('/')}")
    if mongo.ca_file or mongo.client_certificate_file:
        # The string can't weaken what the policy asks for.
        options = [option for option in options if not option.lower().startswith(("tls", "ssl"))]
        options.append("tls=true")
    files = {"tlsCAFile": mongo.ca_file, "tlsCertificateKeyFile": mongo.client_certificate_file}
    options += [f"{option}={quote(file, safe='/')}" for option, file in files.items() if file]
    return parts._replace(path="/", query="&".join(options), fragment="").geturl()


def connect(mongo: job.Mongo, **options: Any) -> MongoClient[dict[str, Any]]:
    """A client, to be closed.

    Raises:
        ConfigError: the connection string or the files that it names are wrong.
        SourceError: DNS does not tell the hosts of a `mongodb+srv://`.
    """
    text = connection_string(mongo)
    try:
        return MongoClient(text, appname="apm-backup", **options)
    except ConfigurationError as error:
        told = redacted(str(error), mongo)
        if text.startswith("mongodb+srv:"):  # the library asks DNS at once, and tells its failures as such an error
            raise SourceError(f"the hosts of the connection string can't be found: {told}") from None
        raise ConfigError(f"the connection string can't be used: {told}") from None
    except (PyMongoError, ValueError, OSError) as error:
        raise ConfigError(f"the connection string can't be used: {redacted(str(error), mongo)}") from None


def ping(mongo: job.Mongo) -> None:
    """Ask whether any of the servers is there.

    Raises:
        SourceError: none answers.
    """
    try:
        options = {"serverSelectionTimeoutMS": _PING, "socketTimeoutMS": _PING}
        with connect(mongo, **options) as client:
            client.admin.command("ping", read_preference=Nearest())
    except PyMongoError:
        raise SourceError("MongoDB does not answer any more") from None


@contextmanager
def tool_config(mongo: job.Mongo) -> Iterator[int]:
    """A file for `--config` of mongodump and mongorestore, as a descriptor: it lies on no disk, even after SIGKILL."""
    file = os.memfd_create("apm-backup", 0)
    try:
        os.write(file, json.dumps({"uri": connection_string(mongo)}).encode())  # JSON is YAML
        yield file
    finally:
        os.close(file)


def redacted(text: str, mongo: job.Mongo) -> str:
    """`text` without the connection string and its user's password, as often as a tool or library repeats them."""
    try:
        whole = connection_string(mongo)
        original = Path(mongo.uri_file).read_text(encoding="utf-8").strip()
    except (ConfigError, OSError):
        return text
    user = urlsplit(whole).netloc.rpartition("@")[0]
    password = user.partition(":")[2]
    for secret in (original, whole, user, password, unquote(password)):
        if secret:
            text = text.replace(secret, "***")
    return text
