"""What a Job is told from outside: the only place of this package that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from apm_operator.backup.settings import first_problem
from apm_operator.report.errors import ConfigError
from apm_operator.report.job import ReportJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set from outside.

    Attributes:
        job: JSON of what is to be done.
        job_name: of the Kubernetes Job: those of a schedule tell the time that they were made for.
        run: uid of the Kubernetes Job, which all of its pods share.
        termination_log: where it is told how it ended.
        kubeconfig: of the API server; "" for the pod's own cluster.
    """

    job: str = ""
    job_name: str = ""
    run: str = ""
    termination_log: Path = Path("/dev/termination-log")
    kubeconfig: str = ""


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings from the environment."""
    get = environment.get
    return Settings(
        job=get("APM_JOB", ""),
        job_name=get("APM_BACKUP_NAME", ""),
        run=get("APM_JOB_UID", ""),
        termination_log=Path(get("APM_TERMINATION_LOG", "/dev/termination-log")),
        kubeconfig=get("KUBECONFIG", ""),
    )


def parse(job: str) -> ReportJob:
    """The Job's configuration.

    Raises:
        ConfigError: it is none.
    """
    try:
        return ReportJob.model_validate_json(job)
    except ValidationError as error:
        raise ConfigError(f"APM_JOB is no configuration of a report: {first_problem(error)}") from None
