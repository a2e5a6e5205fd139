"""`python -m apm_operator`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys

from apm_operator import settings, telemetry
from apm_operator.audit import arguments
from apm_operator.errors import SettingsError

_EPILOG = """All settings come from the environment: KUBECONFIG, APM_WATCH_NAMESPACES, APM_RUNTIME_IMAGE,
APM_RUNTIME_IMAGE_PULL_POLICY, APM_BACKUP_IMAGE, APM_BACKUP_IMAGE_PULL_POLICY,
APM_OPERATOR_NAMESPACE, APM_LEADER_ELECTION, APM_NAME, APM_RESYNC_SECONDS,
APM_SECRET_POLL_SECONDS, APM_CONCURRENCY, APM_HTTP_HOST, APM_HTTP_PORT, APM_HTTPS_PORT,
APM_AUTHORITY_SECONDS, APM_AUTHORITY_OVERLAP_SECONDS, APM_SECRETS_GRANT, APM_LOG_LEVEL, APM_LOG_FORMAT, POD_NAME."""

_JSON_LEVELS = 20_000
"""The API server takes objects nested 10,000 levels deep, and `json` counts each as a call. One resource that can't be
read would end every list and watch, and with them the operator, or an audit, for everybody."""


def main() -> int:
    """Run the operator until it is told to end, or a command.

    Returns:
        The exit status: 0 after a signal, 1 where it must be started anew, 2 for wrong settings; that of the command.
    """
    parser = argparse.ArgumentParser(
        prog="apm_operator",
        description="Kubernetes operator that runs LangGraph agents. Without a command it runs as the operator.",
        epilog=_EPILOG,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    audit = "tell what agents can reach, may do and read, and where that leaves the baseline"
    arguments.add_arguments(commands.add_parser("audit", help=audit, description=f"{audit.capitalize()}."))
    given = parser.parse_args()
    sys.setrecursionlimit(_JSON_LEVELS)
    if given.command == "audit":
        from apm_operator.audit import command  # noqa: PLC0415  the operator does without it

        return command.run(given)
    return _operate()


def _operate() -> int:
    try:
        chosen = settings.read()
    except SettingsError as error:
        print(f"apm_operator: {error}", file=sys.stderr)  # noqa: T201  the command line's answer
        return 2
    telemetry.configure(chosen.log_level, chosen.log_format)
    # Settings are checked before half a second of imports.
    from apm_operator.process import run  # noqa: PLC0415

    # What is imported stays; without this each full collection walks all of it. Most of what a pass makes goes by
    # reference counting, so that collections may be rarer than by default.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    try:
        # Not uvloop: connections of aiohttp that break while they are opened make it mix up file descriptors.
        # https://github.com/MagicStack/uvloop/issues/653
        return asyncio.run(run(chosen))
    except SettingsError as error:
        print(f"apm_operator: {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
