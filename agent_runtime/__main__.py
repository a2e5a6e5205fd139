"""Runs the agent that the config file describes: `python -m agent_runtime`."""

from __future__ import annotations

import sys
from contextlib import suppress

from agent_runtime.errors import ConfigError
from agent_runtime.libraries import lean_imports
from agent_runtime.settings import Settings, apply_library_defaults


def main() -> int:
    """Serves until a signal; the exit code is 1 if the config can't be run."""
    settings = Settings()
    try:
        settings = Settings.from_environment()
        apply_library_defaults()
        # Imported only now: LangGraph reads the environment when it is imported.
        with lean_imports():
            from agent_runtime import config, logs  # noqa: PLC0415
            from agent_runtime.agent import Agent  # noqa: PLC0415
            from agent_runtime.server.process import serve  # noqa: PLC0415

        logs.configure(settings.log_level, settings.log_format)
        serve(Agent(config.load(settings.config_file), settings))
    except ConfigError as error:
        return _fail(settings, str(error))
    return 0


def _fail(settings: Settings, message: str) -> int:
    """Says in one line why the agent can't run, also where the operator reads it."""
    line = settings.redaction(" ".join(message.split()))
    sys.stderr.write(f"agent_runtime: {line}\n")
    with suppress(OSError):
        if settings.termination_log.exists():
            settings.termination_log.write_text(line, encoding="utf-8")
    return 1


if __name__ == "__main__":
    sys.exit(main())
