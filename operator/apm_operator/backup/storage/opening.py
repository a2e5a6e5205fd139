"""A storage from its configuration."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from urllib.parse import urlsplit

from minio.credentials.providers import IamAwsProvider, Provider, StaticProvider
from minio.sse import Sse, SseCustomerKey, SseKMS, SseS3

from apm_operator.backup import job
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.storage.base import Storage
from apm_operator.backup.storage.folder import Folder
from apm_operator.backup.storage.s3 import PART, S3
from apm_operator.backup.storage.s3_client import Client, Timing


def open_storage(config: job.Storage, *, timing: Timing | None = None, part: int = PART) -> Storage:
    """The storage; it is not asked for anything yet.

    Raises:
        ConfigError: a file can't be read, or the parts of the configuration don't fit.
    """
    if isinstance(config, job.FolderStorage):
        return Folder(Path(config.path))
    endpoint = urlsplit(config.endpoint or f"https://s3.{config.region}.amazonaws.com")
    if endpoint.scheme not in {"http", "https"} or not endpoint.hostname or endpoint.username:
        raise ConfigError("an S3 endpoint is http:// or https:// with a host, and nothing else than a port")
    if endpoint.path.strip("/") or endpoint.query:
        raise ConfigError("an S3 endpoint has no path: the bucket and the prefix are named apart")
    sse = _encryption(config.encryption)
    if sse is not None and sse.tls_required() and endpoint.scheme != "https":
        raise ConfigError("server-side encryption with a key of your own or of KMS needs an https:// endpoint")
    if config.ca_file:
        _text(config.ca_file, "the CA of the S3 server")
    timing = timing or Timing()
    client = Client(
        config.bucket,
        sse,
        timing,
        endpoint=endpoint.netloc,
        secure=endpoint.scheme == "https",
        region=config.region,
        credentials=_credentials(config),
        http_client=timing.pool(config.ca_file),
    )
    client.virtual_hosts(on=not config.path_style)
    return S3(client, config.bucket, config.prefix, part=part)


def below(config: job.Storage, folder: str) -> job.Storage:
    """The configuration of a folder, or a further part of the prefix, below."""
    if isinstance(config, job.FolderStorage):
        return config.model_copy(update={"path": f"{config.path.rstrip('/')}/{folder}"})
    return config.model_copy(update={"prefix": f"{config.prefix.strip('/')}/{folder}".strip("/")})


def _credentials(config: job.S3Storage) -> Provider:
    """Keys of files; without them those that a cloud gives its machines and ServiceAccounts."""
    if config.access_key_id_file is None and config.secret_access_key_file is None:
        return IamAwsProvider()
    if config.access_key_id_file is None or config.secret_access_key_file is None:
        raise ConfigError("S3 credentials are an access key id and a secret access key: one of them is missing")
    identity, secret = (
        _text(file, "the S3 credentials") for file in (config.access_key_id_file, config.secret_access_key_file)
    )
    return StaticProvider(identity, secret)


def _encryption(config: job.S3Encryption | None) -> Sse | None:
    if config is None:
        return None
    if config.mode == "AES256":
        return SseS3()
    if config.mode == "aws:kms":
        if not config.kms_key_id:
            raise ConfigError("server-side encryption aws:kms needs the id of a key")
        return SseKMS(config.kms_key_id, {})
    if not config.key_file:
        raise ConfigError("server-side encryption with a key of your own needs the key")
    try:
        return SseCustomerKey(
            base64.b64decode(_text(config.key_file, "the key of server-side encryption"), validate=True)
        )
    except (binascii.Error, ValueError):
        raise ConfigError("a key for server-side encryption is 32 bytes in base64") from None


def _text(file: str, what: str) -> str:
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"can't read {what}: {Path(file).name}") from None
    if not text:
        raise ConfigError(f"{what} is empty: {Path(file).name}")
    return text
