"""What is kept and sent, and what is told of it, with receivers that take HTTP as the real ones do."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apm_operator.report import store, work
from apm_operator.report.errors import ConfigError, ReportError, SendError, StoreError
from apm_operator.report.job import Mail, Mongo, ReportJob, Slack, Store
from apm_operator.report.send import Email, to_mail
from fakes import slack as fake_slack
from fakes.integrations_server import Fault, IntegrationsServer, integrations_server
from unit.apm_operator.report.samples import week

RUN = "run-1"


class Kept:
    """A collection `reports` in memory."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.sent: set[str] = set()
        self.away = False
        self.goes = False

    def put(self, document: dict[str, Any]) -> frozenset[str]:
        if self.away:
            raise StoreError("MongoDB does not answer", again=True)
        self.documents[RUN] = document
        return frozenset(self.sent)

    def mark(self, receiver: str) -> None:
        if self.goes:
            raise StoreError("MongoDB does not answer", again=True)
        self.sent.add(receiver)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    found = Kept()
    monkeypatch.setattr(store, "Reports", lambda *_: found)
    return found


@pytest.fixture
def slack() -> Iterator[fake_slack.Slack]:
    with fake_slack.running() as server:
        yield server


def job(folder: Path, slack: fake_slack.Slack | None = None, mail: IntegrationsServer | None = None) -> ReportJob:
    (folder / "key").write_text("secret-key\n")
    (folder / "url").write_text(f"{slack.url}/services/T0/B0/token\n" if slack else "")
    return ReportJob(
        namespace="shop",
        name="weekly",
        cron_job="weekly-report",
        seconds=7 * 86_400,
        slice_seconds=86_400,
        time_zone="Europe/Berlin",
        store=Store(mongodb=Mongo(uri_file="uri"), database="apm", days=30),
        slack=Slack(url_file=str(folder / "url")) if slack else None,
        mail=Mail(
            base_url=mail.address("communications"),
            api_key_file=str(folder / "key"),
            to=("ops@example.org", "boss@example.org"),
        )
        if mail
        else None,
    )


async def test_a_report_is_kept_and_sent_to_all(tmp_path: Path, kept: Kept, slack: fake_slack.Slack):
    async with integrations_server() as server:
        told = await work.deliver(job(tmp_path, slack, server), RUN, work.Written.of(week()))
    assert told == "The report was kept in MongoDB, sent to Slack, sent to ops@example.org, sent to boss@example.org."
    document = kept.documents[RUN]
    assert document["numbers"]["runs"] == 12_510
    assert document["html"].startswith("<!DOCTYPE html>")
    (posted,) = slack.messages
    assert posted.path == "/services/T0/B0/token"
    assert posted.body["blocks"][0]["text"]["text"] == "Agents of shop"
    assert server.violations == []
    assert [each.body["to"] for each in server.done] == ["ops@example.org", "boss@example.org"]
    first = server.done[0]
    assert first.authorization == "Bearer secret-key"
    assert first.body["body"].startswith("# Agents of shop")
    assert "<svg" in first.body["html"]


async def test_another_pod_sends_only_what_was_not_sent(tmp_path: Path, kept: Kept, slack: fake_slack.Slack):
    async with integrations_server() as server:
        server.faults = [Fault(), Fault(status=503)]
        wanted = job(tmp_path, slack, server)
        with pytest.raises(SendError) as caught:
            await work.deliver(wanted, RUN, work.Written.of(week()))
        assert caught.value.again
        assert "HTTP 503" in str(caught.value)
        assert "sent to Slack" in str(caught.value)
        await work.deliver(wanted, RUN, work.Written.of(week()))
    assert len(slack.messages) == 1
    assert [each.body["to"] for each in server.done] == ["ops@example.org", "boss@example.org"]
    assert kept.sent == {"Slack", "ops@example.org", "boss@example.org"}


async def test_what_can_not_be_kept_is_sent_once_all_the_same(tmp_path: Path, kept: Kept, slack: fake_slack.Slack):
    kept.away = True
    with pytest.raises(StoreError) as caught:
        await work.deliver(job(tmp_path, slack), RUN, work.Written.of(week()))
    assert len(slack.messages) == 1
    assert not caught.value.again
    assert "sent to Slack" in str(caught.value)


async def test_a_report_that_may_be_marked_as_sent_no_more_is_not_sent_again(
    tmp_path: Path, kept: Kept, slack: fake_slack.Slack
):
    kept.goes = True
    async with integrations_server() as server:
        with pytest.raises(StoreError) as caught:
            await work.deliver(job(tmp_path, slack, server), RUN, work.Written.of(week()))
    assert not caught.value.again, "another pod would send it anew: nobody knows that Slack has got it"
    assert "sent to Slack, sent to ops@example.org, sent to boss@example.org" in str(caught.value)
    assert len(slack.messages) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [("no_service", ": no_service"), ("Cannot POST /services/T0/B0/token", ""), ("\x1b[2J<b>", "")],
)
@pytest.mark.usefixtures("kept")
async def test_a_refusal_is_told_by_its_word_alone(tmp_path: Path, answer: str, told: str):
    """A server that quotes the address would tell the secret in a status, an Event and a log."""
    with fake_slack.running() as server:
        server.refusal = answer
        with pytest.raises(SendError) as caught:
            await work.deliver(job(tmp_path, server), RUN, work.Written.of(week()))
    assert str(caught.value).startswith(f"Slack has refused the report: HTTP 404{told}. ")


async def test_a_receiver_that_can_not_be_reached_is_told_without_its_address(tmp_path: Path, kept: Kept):
    wanted = job(tmp_path, fake_slack.Slack("http://127.0.0.1:1"))
    with pytest.raises(SendError, match="Slack can't be reached") as caught:
        await work.deliver(wanted, RUN, work.Written.of(week()))
    assert caught.value.again
    assert "token" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert kept.documents


async def test_a_secret_without_an_address_is_told(tmp_path: Path, kept: Kept):
    wanted = job(tmp_path, fake_slack.Slack("ftp://secret"))
    with pytest.raises(ConfigError, match="holds no address") as caught:
        await work.deliver(wanted, RUN, work.Written.of(week()))
    assert "ftp" not in str(caught.value)
    assert not caught.value.again
    assert kept.documents


async def test_an_email_that_can_not_be_delivered_is_a_failure(tmp_path: Path):
    async with integrations_server() as server:
        server.answers = {"send_email": {"status": "failed", "reason": "no such mailbox"}}
        mail = job(tmp_path, mail=server).mail
        assert mail is not None
        with pytest.raises(ReportError, match="can't be delivered"):
            await to_mail(mail, "ops@example.org", Email("subject", "text", "page"), "key")


async def test_a_long_report_is_cut_to_what_an_email_takes(tmp_path: Path):
    async with integrations_server() as server:
        mail = job(tmp_path, mail=server).mail
        assert mail is not None
        await to_mail(mail, "ops@example.org", Email("s" * 600, "line\n" * 10_000, "p" * 300_000), "key")
        assert server.violations == []
        (sent,) = server.done
        assert sent.body["body"].endswith("the log of the Job shows all of it.)\n")
        assert "html" not in sent.body


def test_a_report_ends_at_the_time_its_job_was_made_for(tmp_path: Path):
    wanted, now = job(tmp_path), datetime(2026, 11, 16, 6, 0, 7, 5, tzinfo=UTC)
    slot = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
    by_schedule = work.span(wanted, f"weekly-report-{int(slot.timestamp()) // 60}", now)
    assert (by_schedule.start, by_schedule.end) == (slot - timedelta(days=7), slot)
    assert work.span(wanted, "by-hand", now).end == now.replace(microsecond=0)


def test_what_is_kept_of_an_unknown_number_is_none():
    told = replace(week(), agents=())
    kept = work._kept(work.Written.of(told))
    assert kept["numbers"]["runs"] is None
    assert json.dumps(kept["numbers"])
