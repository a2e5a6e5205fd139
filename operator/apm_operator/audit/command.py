"""The command line of the audit."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

from apm_operator.audit import world
from apm_operator.audit.report import AgentReport, as_json, report
from apm_operator.audit.settings import kubeconfig
from apm_operator.audit.table import table
from apm_operator.errors import OperatorError
from apm_operator.kube import Kube
from apm_operator.kube_credentials import configuration, current_namespace

DEVIATION, FAILURE = 1, 2


def run(arguments: argparse.Namespace) -> int:
    """Print the report.

    Returns:
        The exit status: 0 without deviations but accepted ones, 1 with deviations, 2 where no audit was possible.
    """
    now = time.time()
    try:
        reports = asyncio.run(_reports(arguments, now))
    except OperatorError as error:
        print(f"apm_operator: {error}", file=sys.stderr)  # noqa: T201  the command line's answer
        return FAILURE
    if arguments.output == "json":
        print(json.dumps(as_json(reports, now), indent=2))  # noqa: T201
    else:
        print(table(reports), end="")  # noqa: T201
    return DEVIATION if any(each.open for each in reports) else 0


async def _reports(arguments: argparse.Namespace, now: float) -> list[AgentReport]:
    files = arguments.kubeconfig or kubeconfig()
    kube = Kube(await configuration(files, arguments.context), files)
    namespace = None if arguments.all_namespaces else arguments.namespace or current_namespace(files, arguments.context)
    try:
        found = await world.agents(kube, namespace)
        return [report(each, now) for each in await world.read(kube, found)]
    finally:
        await kube.close()
