"""What an AgentReport is to consist of: read from its spec and its surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_runtime.spec.scalars import seconds
from apm_operator.api.agentreport import AgentReportSpec, ReportMail, ReportPrometheus
from apm_operator.errors import InvalidSpec
from apm_operator.manifests import backup, backup_job, backup_networkpolicy, report
from apm_operator.manifests.backup import Work
from apm_operator.manifests.backup_job import path
from apm_operator.reconcile import backupspec, jobwork
from apm_operator.reconcile.backupplan import as_applied, closed, parse
from apm_operator.reconcile.endpoints import Endpoint, of_url
from apm_operator.reconcile.schedule import Schedule
from apm_operator.report.job import Mail, Prometheus, ReportJob, Slack, Store

if TYPE_CHECKING:
    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.conditions import Verdict
    from apm_operator.network import ClusterNetwork
    from apm_operator.queue import Key
    from apm_operator.reconcile.backupplan import Looks
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.plan import Images, Manifest

_HOUR, _DAY = 3600, 86_400
_PERIODS = {"Day": (_DAY, _HOUR), "Week": (7 * _DAY, _DAY)}
"""Seconds of a report, and of one slice of its plots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlan:
    """What follows from one generation of the spec and one state of its surroundings.

    Attributes:
        trouble: what keeps its Jobs from working, such as a Secret that is missing; None where nothing does.
    """

    schedule: Schedule
    suspended: bool
    manifests: tuple[Manifest, ...]
    trouble: Verdict | None


@dataclass(frozen=True, slots=True)
class ReportPlans:
    """Makes the plans of reports."""

    looks: Looks
    cluster: ClusterNetwork
    images: Images

    async def look(self, key: Key, entry: Entry) -> ReportPlan:
        """The plan for the newest generation.

        Raises:
            InvalidSpec: the spec breaks a rule that the CRD does not enforce.
            ApiError: something could not be read for a reason that may pass.
        """
        record = entry.agent
        if record is None:
            raise InvalidSpec("the report is gone")
        spec = parse(AgentReportSpec, record.body)
        schedule = Schedule.parse(spec.schedule, spec.time_zone)
        mounted = tuple(sorted(set(_mounted(spec)), key=lambda each: (each.name, each.key)))
        servers = [spec.store.mongodb] if spec.store is not None else []
        addressed = {"Slack": spec.slack.webhook_secret_ref} if spec.slack is not None else {}
        around = await self.looks.look(
            key, mounted, servers, tuple(_endpoints(spec)), spec.network, addressed=addressed
        )
        work = jobwork.work(
            around,
            self.images,
            self.cluster,
            owner=key,
            uid=record.uid,
            template=spec.job,
            network=spec.network,
            mounted=mounted,
        )
        return ReportPlan(
            schedule=schedule,
            suspended=spec.suspend,
            manifests=tuple(_children(work, spec)),
            trouble=around.missing or closed(around.unknown),
        )

    def release(self, key: Key) -> None:
        """The report is gone."""
        self.looks.release(key)


def _children(work: Work, spec: AgentReportSpec) -> Iterator[Manifest]:
    # The CronJob comes last: what its pods need exists before them, and so does their fence.
    yield as_applied(backup.service_account(work))
    yield as_applied(report.role(work))
    yield as_applied(backup.role_binding(work))
    yield as_applied(backup_networkpolicy.build(work))
    yield as_applied(
        backup_job.cron_job(
            work,
            work.name,
            job(spec, work),
            schedule=spec.schedule,
            zone=spec.time_zone,
            deadline=spec.starting_deadline_seconds,
            suspend=spec.suspend,
        )
    )


def job(spec: AgentReportSpec, work: Work) -> ReportJob:
    """What the Jobs are told."""
    length, slice_length = _PERIODS[spec.period]
    return ReportJob(
        namespace=work.namespace,
        name=work.owner.name,
        cron_job=work.name,
        seconds=length,
        slice_seconds=slice_length,
        time_zone=spec.time_zone,
        prometheus=_prometheus(spec.prometheus),
        store=None
        if spec.store is None
        else Store(
            mongodb=backupspec.told_mongo(spec.store.mongodb), database=spec.store.database, days=spec.store.days
        ),
        slack=None if spec.slack is None else Slack(url_file=path(spec.slack.webhook_secret_ref)),
        mail=_mail(spec.mail),
        deadline=seconds(spec.job.timeout),
    )


def _prometheus(given: ReportPrometheus | None) -> Prometheus | None:
    if given is None:
        return None
    return Prometheus(url=given.url, token_file=_file(given.token_secret_ref), ca_file=_file(given.ca_secret_ref))


def _mail(given: ReportMail | None) -> Mail | None:
    if given is None:
        return None
    return Mail(
        base_url=given.base_url,
        api_key_file=_file(given.api_key_secret_ref),
        ca_file=_file(given.ca_secret_ref),
        to=given.to,
    )


def _file(reference: SecretKeyRef | None) -> str:
    return "" if reference is None else path(reference)


def _mounted(spec: AgentReportSpec) -> Iterator[SecretKeyRef]:
    if spec.store is not None:
        yield from backupspec.of_server(spec.store.mongodb)
    if spec.slack is not None:
        yield spec.slack.webhook_secret_ref
    found: list[SecretKeyRef | None] = []
    if spec.prometheus is not None:
        found += [spec.prometheus.token_secret_ref, spec.prometheus.ca_secret_ref]
    if spec.mail is not None:
        found += [spec.mail.api_key_secret_ref, spec.mail.ca_secret_ref]
    yield from (each for each in found if each is not None)


def _endpoints(spec: AgentReportSpec) -> Iterator[Endpoint]:
    if spec.prometheus is not None:
        yield of_url(spec.prometheus.url, "Prometheus")
    if spec.mail is not None:
        yield of_url(spec.mail.base_url, "mail")
