"""The config file that the operator writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from agent_runtime.errors import ConfigError
from agent_runtime.spec.agent import RuntimeConfig

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> RuntimeConfig:
    """Reads the config file.

    Raises:
        ConfigError: It can't be read, or does not fit `RuntimeConfig`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't read the config file {path}: {error.strerror}") from error
    try:
        return RuntimeConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ConfigError(f"config file {path}: {where}: {first['msg']}{more}") from error
