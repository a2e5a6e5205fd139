"""Where the pod's environment says the integrations are. No other module of the package reads it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_runtime.errors import ConfigError
from agent_runtime.spec.integrations import ADDRESS_PATTERN, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.spec.integrations import IntegrationName


@dataclass(frozen=True)
class Place:
    """Address and key of a service; without a key the service asks for none."""

    url: str
    key: str = field(default="", repr=False)


def places(environ: Mapping[str, str] | None = None) -> dict[IntegrationName, Place]:
    """The services that the environment names.

    Raises:
        ConfigError: A variable holds no address.
    """
    env = os.environ if environ is None else environ
    found: dict[IntegrationName, Place] = {}
    for name, (url_variable, key_variable) in VARIABLES.items():
        url = env.get(url_variable, "").strip()
        if not url:
            continue
        if not re.fullmatch(ADDRESS_PATTERN, url):
            raise ConfigError(f"{url_variable} is no http or https address: correct it")
        found[name] = Place(url, env.get(key_variable, "").strip())
    return found
