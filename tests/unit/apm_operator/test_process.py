import asyncio
import os
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from apm_operator.process import _told


async def test_what_ends_the_process_is_told_before_its_other_parts_have_come_down():
    async def fails() -> None:
        raise RuntimeError("File descriptor 31")

    async def goes_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert [entry["error"] for entry in logs] == ["RuntimeError('File descriptor 31')"]

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(goes_slowly())
            group.create_task(_told(fails()))

    with capture_logs() as logs, pytest.raises(ExceptionGroup):
        await both()


def test_the_operator_does_without_the_synchronous_client():
    """It would take a tenth of its memory."""
    asked = "import sys, apm_operator.process; print({'requests', 'oauthlib', 'websocket'} & sys.modules.keys())"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=env)
    assert told.stdout == "set()\n"
