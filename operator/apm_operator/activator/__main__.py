"""`python -m apm_operator.activator`, one for each agent that may sleep; it has no rights and no secrets."""

from __future__ import annotations

import asyncio
import signal
import sys

from apm_operator.activator.counts import Counts
from apm_operator.activator.server import Activator, say
from apm_operator.activator.settings import Settings, SettingsError, read


def main() -> int:
    """0 after a signal, 2 where it can't begin."""
    try:
        settings = read()
    except SettingsError as error:
        say("not started", error=str(error))
        return 2
    asyncio.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await Activator(settings, Counts()).run(stop)


if __name__ == "__main__":
    sys.exit(main())
