"""What objects tell of agents and backups."""

from datetime import UTC, datetime, timedelta
from typing import Any

from apm_operator.report.cluster import Objects, summed
from apm_operator.report.figures import Measured, Numbers, Runs, Span

END = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
DAY = Span(END - timedelta(days=1), END, "Etc/UTC", 3600)


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": f"{reason}."}


def body(name: str, spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "creationTimestamp": "2026-11-15T12:00:00Z"}
    return {"metadata": metadata, "spec": spec or {}, "status": status}


def backup(name: str, finished: str, **status: Any) -> dict[str, Any]:
    return body(name, {"policyRef": {"name": "nightly"}}, finished=finished, **status)


def test_agents_have_their_numbers_conditions_and_deviations():
    agents = (
        body("triage", {"auth": {"anonymous": True}, "tls": {"mode": "Disabled"}}),
        body("clerk", conditions=[condition("Ready", "True", "Ready"), condition("Anomalous", "False", "AsUsual")]),
    )
    measured = Measured(agents={"clerk": Numbers(runs=Runs(1.0)), "gone": Numbers(runs=Runs(9.0))})
    clerk, triage, gone = summed("shop", "daily", DAY, Objects(agents=agents), measured).agents
    assert (gone.name, gone.gone, gone.deviations) == ("gone", True, ())
    assert clerk.numbers.runs == Runs(1.0)
    assert (clerk.ready.truth, clerk.anomalous.reason) == ("True", "AsUsual")
    assert triage.certificate is None
    assert triage.numbers.runs is None
    assert triage.ready.truth == "Unknown"
    assert {"anonymous", "tls-disabled", "policy-missing"} <= {each.id for each in triage.deviations}
    assert not {"certificate", "namespace-not-restricted"} & {each.id for each in triage.deviations}


def test_backups_of_the_span_are_counted_by_their_policy():
    backups = (
        backup("nightly-1", "2026-11-15T02:10:00Z", phase="Completed", verified="True"),
        backup("nightly-2", "2026-11-16T02:10:00Z", phase="Completed", verified="True"),
        backup("nightly-3", "2026-11-16T03:10:00Z", phase="Completed", verified="False"),
        backup("by-hand", "2026-11-15T20:00:00Z", phase="Failed"),
        body("other", {"policyRef": {"name": "orders"}}, finished="2026-11-16T03:00:00Z", phase="Completed"),
    )
    policy = body(
        "nightly",
        lastSuccessTime="2026-11-16T03:10:00Z",
        lastVerifiedTime="2026-11-16T02:10:00Z",
        size=5,
        missed={"count": 2},
        conditions=[condition("Ready", "True", "Ready"), condition("Verified", "False", "RestoreDiffers")],
    )
    (told,) = summed("shop", "daily", DAY, Objects(policies=(policy,), backups=backups), Measured()).policies
    assert (told.completed, told.proven, told.failed, told.missed, told.size) == (2, 1, 1, 2, 5)
    assert told.last == datetime(2026, 11, 16, 3, 10, tzinfo=UTC)
    assert told.verified.reason == "RestoreDiffers"


def test_restores_of_the_span_are_told_also_while_they_go_on():
    restores = (
        body("done", phase="Completed", finished="2026-11-16T01:00:00Z"),
        body("old", phase="Failed", finished="2026-11-01T01:00:00Z"),
        body("running", phase="Restoring"),
    )
    told = summed("shop", "daily", DAY, Objects(restores=restores), Measured()).restores
    assert [(each.name, each.phase) for each in told] == [("done", "Completed"), ("running", "Restoring")]
