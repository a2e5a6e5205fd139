"""A week of a small shop, as reports see it."""

from datetime import UTC, datetime, timedelta

from apm_operator.audit.report import Deviation
from apm_operator.report.cluster import UNSEEN
from apm_operator.report.figures import (
    Agent,
    Numbers,
    Policy,
    Report,
    Restore,
    Runs,
    Slice,
    Span,
    State,
)

END = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
DAY = 86_400
WEEK = Span(END - timedelta(days=7), END, "Europe/Berlin", DAY)
READY = State("True", "Ready", "All pods are ready.")
USUAL = State("False", "AsUsual", "")


def clerk() -> Agent:
    return Agent(
        name="clerk",
        numbers=Numbers(
            runs=Runs(12_345.0, 12.0, 3.0),
            median=1.24,
            slow=7.5,
            tokens=4_300_000.0,
            cost=18.4,
            budget={"tokens": 0.91, "cost": 0.4},
            refusals=2.0,
            certificate_left=20 * DAY,
            certificate_life=90 * DAY,
        ),
        ready=READY,
        anomalous=USUAL,
        certificate=State("True", "Issued", ""),
        deviations=(
            Deviation("internet", "`network.allowInternet` lets it reach every public address", "calls a carrier"),
        ),
    )


def triage() -> Agent:
    return Agent(
        name="triage",
        numbers=Numbers(
            runs=Runs(40.0, 10.0, 0.0),
            median=3.0,
            slow=180.0,
            tokens=9000.0,
            cost=0.0312,
            budget={},
            refusals=0.0,
            odd=("error_rate",),
            certificate_left=2 * DAY,
            certificate_life=90 * DAY,
        ),
        ready=State("False", "PodsCrash", "The pods crash: <model> | said\nno."),
        anomalous=State("True", "Anomaly", "tokens per run 4.1 times the usual for Monday 10:00"),
        certificate=State("True", "Issued", ""),
        deviations=(Deviation("anonymous", "`auth.anonymous` lets in who brings no proof"),),
    )


def silent() -> Agent:
    return Agent(name="silent", numbers=Numbers(), ready=READY, certificate=None)


def retired() -> Agent:
    """Deleted in the middle of the week."""
    numbers = Numbers(runs=Runs(100.0), median=2.0, slow=4.0, tokens=500.0, cost=1.0, budget={}, refusals=0.0)
    return Agent(name="retired", numbers=numbers, ready=State(), gone=True)


def week() -> Report:
    counts = ((1800, 0), (2000, 1), None, (1500, 3), (2400, 6), (2600, 2), (2085, 10))
    return Report(
        namespace="shop",
        name="weekly",
        span=WEEK,
        agents=(clerk(), silent(), triage(), retired()),
        policies=(
            Policy(
                name="nightly",
                ready=READY,
                verified=State("True", "Verified", "It restores."),
                completed=7,
                proven=7,
                last=END - timedelta(hours=5),
                last_proven=END - timedelta(hours=5),
                size=3 * 2**30,
            ),
            Policy(
                name="orders",
                ready=State("False", "SecretMissing", "Secret orders has no key uri."),
                verified=State("Unknown", "NotYet", "No backup has been made yet."),
                failed=2,
                missed=1,
            ),
        ),
        restores=(Restore("look-back", "Failed", END - timedelta(days=1)),),
        slices=tuple(
            Slice(
                WEEK.start + timedelta(days=at),
                *((None, None, None) if one is None else (Runs(one[0], one[1]), 6.0 + at, 2.5 * at)),
            )
            for at, one in enumerate(counts)
        ),
        slow=8.0,
        unseen=UNSEEN,
    )


def dark() -> Report:
    """Prometheus is away: what the API server tells is there, and nothing else is made up."""
    told = week()
    agents = tuple(
        Agent(
            name=each.name,
            numbers=Numbers(),
            ready=each.ready,
            anomalous=State(),
            certificate=each.certificate,
            deviations=each.deviations,
        )
        for each in told.present
    )
    return Report(
        namespace="shop",
        name="weekly",
        span=WEEK,
        agents=agents,
        slices=tuple(Slice(each.start) for each in told.slices),
        trouble="Prometheus can't be asked: query: HTTP 503: <html>",
    )
