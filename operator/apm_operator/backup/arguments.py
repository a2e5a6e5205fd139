"""The command line: a storage by flags, so that a person needs neither a policy nor a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from apm_operator.backup import job
from apm_operator.backup.errors import ConfigError


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its flags; ends the process with status 2 where they are wrong."""
    where = argparse.ArgumentParser(add_help=False)
    _add_location(where.add_argument_group("where the backups are (a folder or a bucket)"))
    parser = argparse.ArgumentParser(
        prog="python -m apm_operator.backup", description="Look at, verify, restore and remove backups in a storage."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("catalogue", parents=[where], help="list what lies in the storage")
    command.add_argument(
        "--all", action="store_true", help="also in the folders below: of all prefixes, namespaces and policies"
    )
    command.add_argument("--json", action="store_true", help="one JSON document a line")

    command = commands.add_parser("verify", parents=[where], help="read backups back, to their last byte")
    command.add_argument("names", nargs="*", metavar="NAME", help="default: the newest verified one")

    command = commands.add_parser("prune", parents=[where], help="remove what the retention no longer keeps")
    command.add_argument("--days", type=int, required=True, help="age in days after which a backup goes")
    command.add_argument("--minimum", type=int, default=1, help="verified backups that stay whatever their age")
    command.add_argument("--tested", action="store_true", help="count only what was restored for a test as verified")
    command.add_argument("--dry-run", action="store_true", help="only say what would go")

    command = commands.add_parser("remove", parents=[where], help="remove backups by name, or all of them")
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--all", action="store_true", help="everything that belongs to backups")

    command = commands.add_parser("restore", parents=[where], help="verify a backup and restore it")
    command.add_argument("name", nargs="?", metavar="NAME", help="default: the newest verified one")
    command.add_argument("--uri-file", required=True, help="file with the connection string of the target")
    command.add_argument("--mongodb-ca-file", help="PEM of the authorities of its certificate")
    command.add_argument("--database", action="append", default=[], metavar="FROM[=TO]", help="only these")
    command.add_argument("--namespace", action="append", default=[], metavar="DATABASE.COLLECTION", help="likewise")
    command.add_argument("--replace", action="store_true", help="what is in the target gives way")
    return parser.parse_args(arguments)


def _add_location(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--folder", help="path of a folder")
    group.add_argument("--bucket", help="name of an S3 bucket")
    group.add_argument("--prefix", default="", help="beginning of the keys in the bucket: NAMESPACE/POLICY")
    group.add_argument("--endpoint", help="https:// address of the S3 server; default: Amazon's")
    group.add_argument("--region", default="us-east-1")
    group.add_argument("--access-key-id-file", metavar="FILE")
    group.add_argument("--secret-access-key-file", metavar="FILE")
    group.add_argument("--ca-file", metavar="FILE", help="PEM of the authorities of the S3 server's certificate")
    group.add_argument("--virtual-hosts", action="store_true", help="the bucket is part of the host's name")
    group.add_argument("--sse", choices=["AES256", "aws:kms", "customer"], help="encryption by the S3 server")
    group.add_argument("--sse-kms-key-id")
    group.add_argument("--sse-key-file", metavar="FILE", help="32 bytes in base64, with --sse customer")
    group.add_argument("--identity-file", metavar="FILE", help="age's private keys, where backups are encrypted")


def storage(flags: argparse.Namespace) -> job.Storage:
    """Where the flags say the backups are.

    Raises:
        ConfigError: they name none, or two.
    """
    if bool(flags.folder) == bool(flags.bucket):
        raise ConfigError("say where the backups are: --folder PATH, or --bucket NAME (with --endpoint, --prefix ...)")
    if flags.folder:
        return job.FolderStorage(path=flags.folder)
    encryption = None
    if flags.sse:
        encryption = job.S3Encryption(mode=flags.sse, kms_key_id=flags.sse_kms_key_id, key_file=flags.sse_key_file)
    return job.S3Storage(
        endpoint=flags.endpoint,
        region=flags.region,
        bucket=flags.bucket,
        prefix=flags.prefix,
        access_key_id_file=flags.access_key_id_file,
        secret_access_key_file=flags.secret_access_key_file,
        ca_file=flags.ca_file,
        path_style=not flags.virtual_hosts,
        encryption=encryption,
    )


def work(flags: argparse.Namespace, run: str) -> job.VerifyJob | job.RemoveJob | job.RestoreJob:
    """The Job that a command is; `run` is unlike any other's.

    Raises:
        ConfigError: the flags don't fit.
    """
    common = {
        "namespace": "",
        "policy": "command-line",
        "storage": storage(flags),
        "age": job.Age(identity_file=flags.identity_file) if flags.identity_file else None,
    }
    if flags.command == "verify":
        return job.VerifyJob(names=tuple(flags.names), **common)
    if flags.command == "remove":
        if bool(flags.names) == flags.all:
            raise ConfigError("name the backups to remove, or say --all")
        return job.RemoveJob(names=tuple(flags.names), **common)
    pairs = [each.partition("=")[::2] for each in flags.database]
    return job.RestoreJob(
        id=run,
        name=flags.name,
        target=job.Mongo(uri_file=flags.uri_file, ca_file=flags.mongodb_ca_file),
        scope=job.Scope(databases=tuple(each for each, _ in pairs), namespaces=tuple(flags.namespace)),
        renames=tuple(job.Rename(source=each, target=to) for each, to in pairs if to),
        replace=flags.replace,
        **common,
    )
