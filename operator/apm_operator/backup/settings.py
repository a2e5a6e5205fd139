"""What a Job is told from outside: the only place of this package that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from apm_operator.backup.errors import ConfigError
from apm_operator.backup.job import AnyJob

_JOB: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set from outside.

    Attributes:
        job: JSON of what is to be done; empty on a command line.
        backup_name: of the backup that is to be made.
        run: uid of the Kubernetes Job, which all of its pods share.
        pod: that this is, as holder of Leases.
        termination_log: where the report goes.
        mongodump: program.
        mongorestore: program.
    """

    job: str = ""
    backup_name: str = ""
    run: str = ""
    pod: str = "nobody"
    namespace: str = ""
    termination_log: Path = Path("/dev/termination-log")
    mongodump: str = "mongodump"
    mongorestore: str = "mongorestore"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings from the environment."""
    get = environment.get
    return Settings(
        job=get("APM_JOB", ""),
        backup_name=get("APM_BACKUP_NAME", ""),
        run=get("APM_JOB_UID", ""),
        pod=get("POD_NAME", "nobody"),
        namespace=get("POD_NAMESPACE", ""),
        termination_log=Path(get("APM_TERMINATION_LOG", "/dev/termination-log")),
        mongodump=get("APM_MONGODUMP", "mongodump"),
        mongorestore=get("APM_MONGORESTORE", "mongorestore"),
    )


def tool_environment() -> dict[str, str]:
    """What mongodump and mongorestore get: without limits Go takes three times what they need."""
    return {"PATH": os.environ.get("PATH", os.defpath), "GOMEMLIMIT": "96MiB", "GOGC": "50"}


def parse(job: str) -> AnyJob:
    """The Job's configuration.

    Raises:
        ConfigError: it is none.
    """
    try:
        return _JOB.validate_json(job)
    except ValidationError as error:
        raise ConfigError(f"APM_JOB is no configuration of a Job: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """Where a configuration is wrong, and how; without what stands there."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
