"""What the operator tells a Job: JSON in the environment variable `APM_JOB`, paths instead of secrets."""

from __future__ import annotations

from typing import Literal

from apm_operator.backup.base import Model
from apm_operator.backup.job import Mongo


class Prometheus(Model):
    """Where the numbers come from; see `prometheus.Source`."""

    url: str
    token_file: str = ""
    ca_file: str = ""


class Store(Model):
    """Where reports are kept: the collection `reports` of a database, for some days."""

    mongodb: Mongo
    database: str
    days: int


class Slack(Model):
    """A webhook, whose address is its secret."""

    url_file: str


class Mail(Model):
    """The service of the integration `communications`, and who gets an email by it."""

    base_url: str
    api_key_file: str = ""
    ca_file: str = ""
    to: tuple[str, ...]


class ReportJob(Model):
    """One report of a namespace, over the `seconds` before the time that the Job was made for."""

    command: Literal["report"] = "report"
    namespace: str
    name: str
    cron_job: str
    seconds: int
    slice_seconds: int
    time_zone: str
    prometheus: Prometheus | None = None
    store: Store | None = None
    slack: Slack | None = None
    mail: Mail | None = None
    deadline: float = 600.0
    """Seconds for all of it."""
