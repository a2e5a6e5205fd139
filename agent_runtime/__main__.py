"""Runs the agent of the config file: `python -m agent_runtime`; `knowledge` and `migrate` are commands for its data."""

from __future__ import annotations

import sys
from contextlib import suppress

from agent_runtime.errors import ConfigError
from agent_runtime.libraries import lean_imports
from agent_runtime.settings import Settings, apply_library_defaults

_COMMANDS = ("knowledge", "migrate")
_USAGE = (
    f"usage: python -m agent_runtime [{'|'.join(_COMMANDS)} ...]: serves the agent of APM_CONFIG, or does a command"
)


def main() -> int:
    """Serves until a signal; the exit code is 1 if the config can't be run, and 2 if there is no such command."""
    settings = Settings()
    asked = sys.argv[1:2]
    if asked and asked[0] not in _COMMANDS:
        sys.stderr.write(f"{_USAGE}\n" if asked[0] in {"-h", "--help"} else f"{_USAGE}; {asked[0]} is none\n")
        return 0 if asked[0] in {"-h", "--help"} else 2
    try:
        settings = Settings.from_environment()
        apply_library_defaults()
        # Imported only from here on: LangGraph reads the environment when it is imported.
        if asked == ["knowledge"]:
            from agent_runtime import knowledge_command  # noqa: PLC0415 - reads the environment

            return knowledge_command.main(sys.argv[2:], settings)
        if asked == ["migrate"]:
            from agent_runtime import migrate_command  # noqa: PLC0415 - likewise

            return migrate_command.main(sys.argv[2:], settings)
        with lean_imports():
            from agent_runtime import config, logs  # noqa: PLC0415 - likewise
            from agent_runtime.agent import Agent  # noqa: PLC0415 - likewise
            from agent_runtime.server.process import serve  # noqa: PLC0415 - likewise

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
