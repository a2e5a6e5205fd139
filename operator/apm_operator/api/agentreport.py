"""The custom resource AgentReport."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.integrations import ADDRESS_PATTERN
from agent_runtime.spec.scalars import Duration
from agent_runtime.spec.schedule import CronText, TimeZone
from agent_runtime.spec.secret import SecretKeyRef
from agent_runtime.spec.state import DatabaseName
from apm_operator.api.backupjob import JobNetwork, JobPods, MongoDBServer
from apm_operator.api.status import Condition, StatusModel, Timestamp

EmailAddress = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=320)]
Address = Annotated[str, StringConstraints(pattern=ADDRESS_PATTERN, max_length=1024)]


class ReportPrometheus(SpecModel):
    """A Prometheus, or whatever speaks its HTTP API."""

    url: Address = Field(description="Address without `/api/v1`, such as `http://prometheus.monitoring.svc:9090`.")
    token_secret_ref: SecretKeyRef | None = Field(default=None, description="Secret key with a bearer token for it.")
    ca_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key with the authorities, as PEM, that its certificate may be of."
    )


class ReportStore(SpecModel):
    """Where reports are kept: the collection `reports`."""

    mongodb: MongoDBServer = Field(description="The MongoDB.")
    database: DatabaseName = Field(default="apm", description="The database.")
    days: int = Field(default=365, ge=1, le=36500, description="Older reports are removed.")


class ReportSlack(SpecModel):
    """A channel of Slack, or of whatever takes Slack's webhooks."""

    webhook_secret_ref: SecretKeyRef = Field(description="Secret key with the address of an incoming webhook.")


class ReportMail(SpecModel):
    """Email, by the service of the integration `communications`."""

    to: tuple[EmailAddress, ...] = Field(min_length=1, max_length=32, description="Who gets it; one email each.")
    base_url: Address = Field(
        alias="baseURL", description="Address of the service, as in `spec.integrations.communications` of agents."
    )
    api_key_secret_ref: SecretKeyRef | None = Field(default=None, description="Secret key with the service's API key.")
    ca_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key with the authorities, as PEM, that its certificate may be of."
    )


class ReportPods(JobPods):
    """How the pods that make the reports run."""

    timeout: Duration = Field(default="10m", description="A report that takes longer has failed.")


class AgentReportSpec(SpecModel):
    """What the agents of the namespace did, and how they are kept: summed up by a schedule, kept, and sent."""

    schedule: CronText = Field(default="0 7 * * 1", description="When: minute, hour, day, month, day of the week.")
    time_zone: TimeZone = Field(
        default="Etc/UTC", description="Time zone of the schedule and the report, such as `Europe/Berlin`."
    )
    period: Literal["Day", "Week"] = Field(
        default="Week", description="What a report is about: 24 hours, or 7 days, until the time that it is due."
    )
    starting_deadline_seconds: int = Field(
        default=3600, ge=60, le=86_400, description="A report that could not be begun for this long is left out."
    )
    suspend: bool = Field(default=False, description="Make no reports by the schedule until this is false again.")
    prometheus: ReportPrometheus | None = Field(
        default=None,
        description="Which Prometheus scrapes the agents. Without it runs, latency, cost and budgets are unknown.",
    )
    store: ReportStore | None = Field(default=None, description="Where reports are kept.")
    slack: ReportSlack | None = Field(default=None, description="Where a summary is posted.")
    mail: ReportMail | None = Field(default=None, description="Who gets the report as email.")
    job: ReportPods = Field(default_factory=ReportPods, description="How the pods that make the reports run.")
    network: JobNetwork = Field(default_factory=JobNetwork, description="Whom these pods may talk to as well.")


class AgentReportStatus(StatusModel):
    """How the reports are."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="`metadata.generation` of the spec that this status speaks of."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=16, description="State by aspect: `Ready`, `Delivered`; others only while true."
    )
    last_report: str | None = Field(
        default=None, max_length=253, description="Name of the Job of the last report that went wherever it was to go."
    )
    last_report_time: Timestamp | None = Field(default=None, description="When that was made.")
    observed_schedule: str | None = Field(
        default=None, max_length=1024, description="The schedule with its time zone, or `suspended`."
    )
    observed_schedule_time: Timestamp | None = Field(
        default=None, description="When that was first seen. Nothing was due before it."
    )
    next_schedule_time: Timestamp | None = Field(default=None, description="When the next report is due.")
