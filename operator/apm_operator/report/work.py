"""Makes one report: collects, writes, keeps and sends it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apm_operator import kube as api
from apm_operator.errors import SettingsError
from apm_operator.kube import Kube
from apm_operator.prometheus import Prometheus, Source
from apm_operator.reconcile.schedule import slot_of
from apm_operator.report import collect, send, store
from apm_operator.report.cluster import summed
from apm_operator.report.document import Document, document
from apm_operator.report.errors import ConfigError, ReportError, StoreError
from apm_operator.report.figures import Report, Span
from apm_operator.report.job import ReportJob
from apm_operator.report.markdown import markdown
from apm_operator.report.page import page
from apm_operator.report.send import Email
from apm_operator.report.settings import Settings
from apm_operator.report.slack import message

COMPLETED, NUMBERS_UNKNOWN = "Completed", "NumbersUnknown"


@dataclass(frozen=True, slots=True)
class Written:
    """A report in all its forms."""

    report: Report
    layout: Document
    text: str
    page: str

    @classmethod
    def of(cls, report: Report) -> Written:
        """Write it."""
        layout = document(report)
        return cls(report, layout, markdown(layout), page(layout))


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a report; `reason` says whether its numbers are known."""

    reason: str
    message: str


def span(job: ReportJob, job_name: str, now: datetime) -> Span:
    """What is reported on: until the time that the Job was made for, or until now where somebody made it by hand."""
    end = slot_of(job.cron_job, job_name) or now.replace(microsecond=0)
    return Span(end - timedelta(seconds=job.seconds), end, job.time_zone, job.slice_seconds)


async def make(job: ReportJob, settings: Settings, show: Callable[[str], Any]) -> Done:
    """Do all of it.

    Args:
        job: what is to be done.
        settings: of the pod.
        show: takes the text, for the log of the pod.

    Raises:
        ReportError: the report is not made, or not wherever it is to go; the message says what of it was done.
    """
    found = span(job, settings.job_name, datetime.now(UTC))
    async with _api(settings.kubeconfig) as kube, _prometheus(job) as prometheus:
        objects = await collect.objects(kube, job.namespace)
        numbers = await collect.numbers(prometheus, job.namespace, found)
    written = Written.of(summed(job.namespace, job.name, found, objects, numbers))
    show(written.text)
    done = await deliver(job, settings.run, written)
    trouble = written.report.trouble
    if trouble:
        return Done(NUMBERS_UNKNOWN, f"{done} Runs, latency, cost and budgets are unknown: {trouble}")
    return Done(COMPLETED, done)


async def deliver(job: ReportJob, run: str, written: Written) -> str:
    """Keep and send a report; who has got it from an earlier pod of the Job does not get it again.

    Returns:
        What was done.

    Raises:
        ReportError: some of it could not be done.
    """
    done: list[str] = []
    failed: list[ReportError] = []
    got: frozenset[str] = frozenset()
    kept: store.Reports | None = None
    if job.store is not None:
        kept = store.Reports(job.store, run)
        try:
            got = await asyncio.to_thread(kept.put, _kept(written))
            done.append("kept in MongoDB")
        except StoreError as error:
            failed.append(error)
            kept = None  # it is sent all the same
    for receiver, work in _receivers(job, run, written):
        try:
            if receiver not in got:
                await work()
            done.append(f"sent to {receiver}")
            if kept is not None and receiver not in got:
                await asyncio.to_thread(kept.mark, receiver)
        except StoreError as error:
            failed.append(error)
            kept = None  # nobody knows any more who has got it
        except ReportError as error:
            failed.append(error)
    told = f"The report was {', '.join(done)}." if done else ""
    if failed:
        raise _joined(failed, told, remembered=kept is not None)
    return told


def _joined(failed: list[ReportError], told: str, *, remembered: bool) -> ReportError:
    """All failures as one. Only where it is remembered who has got the report, or nobody has, another pod may try."""
    again = all(each.again for each in failed) and (remembered or not told)
    return type(failed[0])(" ".join([*(f"{each}." for each in failed), told]).strip(), again=again)


def _receivers(job: ReportJob, run: str, written: Written) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    found: list[tuple[str, Callable[[], Awaitable[None]]]] = []
    if (slack := job.slack) is not None:
        found.append(("Slack", lambda: send.to_slack(slack, message(written.layout))))
    if (mail := job.mail) is not None:
        email = Email(f"{written.layout.title}: {written.layout.subtitle}", written.text, written.page)
        for to in mail.to:
            key = f"{run}-{hashlib.sha256(to.encode()).hexdigest()[:16]}"
            found.append((to, lambda to=to, key=key: send.to_mail(mail, to, email, key)))  # type: ignore[misc]
    return found


def _kept(written: Written) -> dict[str, Any]:
    report = written.report
    runs = report.runs
    return {
        "namespace": report.namespace,
        "report": report.name,
        "start": report.span.start,
        "end": report.span.end,
        "numbers": {
            "agents": len(report.agents),
            "runs": None if runs is None else round(runs.total),
            "failed": None if runs is None else round(runs.failed),
            "slow": report.slow,
            "tokens": report.tokens,
            "cost": report.cost,
        },
        "attention": list(written.layout.attention),
        "markdown": written.text,
        "html": written.page,
    }


@asynccontextmanager
async def _api(kubeconfig: str) -> AsyncIterator[Kube]:
    try:
        kube = await api.connect(kubeconfig)
    except SettingsError as error:
        raise ConfigError(f"The pod has no ServiceAccount to ask the API server with: {error}") from error
    try:
        yield kube
    finally:
        await kube.close()


@asynccontextmanager
async def _prometheus(job: ReportJob) -> AsyncIterator[Prometheus | None]:
    if job.prometheus is None:
        yield None
        return
    source = job.prometheus
    prometheus = Prometheus(Source(source.url, source.token_file, source.ca_file))
    try:
        yield prometheus
    finally:
        await prometheus.close()
