from dataclasses import replace

import pytest

from apm_operator.conditions import Aspect, Verdict, conditions, news, reason, truth

BEFORE = [
    {"type": "Ready", "status": "Unknown", "lastTransitionTime": "then", "reason": "Progressing"},
    {"type": "Reconciling", "status": "True", "lastTransitionTime": "then", "reason": "Progressing"},
]


def by_type(found: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    return {condition["type"]: condition for condition in found}


@pytest.mark.parametrize(
    ("verdict", "types"),
    [
        (Verdict("True", "Ready", ""), {"Ready"}),
        (Verdict.moving("RollingOut", ""), {"Ready", "Reconciling"}),
        (Verdict.problem("PodsCrash", ""), {"Ready", "Reconciling"}),
        (Verdict.stalled("SpecInvalid", ""), {"Ready", "Stalled"}),
    ],
)
def test_abnormal_conditions_are_there_only_while_true(verdict: Verdict, types: set[str]):
    found = conditions(verdict, generation=1, now="now", before=BEFORE)
    assert {condition["type"] for condition in found} == types
    assert all(c["status"] == "True" for c in found if c["type"] != "Ready")


def test_the_time_moves_only_with_the_status():
    found = by_type(conditions(Verdict.moving("RollingOut", "other"), generation=2, now="now", before=BEFORE))
    assert found["Ready"]["lastTransitionTime"] == "then"
    found = by_type(conditions(Verdict("True", "Ready", ""), generation=2, now="now", before=BEFORE))
    assert found["Ready"]["lastTransitionTime"] == "now"


def test_every_condition_names_the_generation():
    found = conditions(Verdict.moving("RollingOut", ""), generation=7, now="now")
    assert {condition["observedGeneration"] for condition in found} == {7}


def test_a_message_is_cut_to_what_a_status_should_hold():
    found = conditions(Verdict.stalled("SpecInvalid", "x" * 10_000), generation=1, now="now")
    assert len(found[0]["message"]) == 2048


def test_reason_and_truth_of_what_was_written():
    assert (reason(BEFORE), truth(BEFORE)) == ("Progressing", "Unknown")
    assert (reason([]), truth([])) == ("", "Unknown")
    assert truth([{"type": "Ready", "status": "False"}]) == "False"


ASPECT = Aspect("NetworkReady", "False", "TargetsUnknown", "add it")


def test_an_aspect_stands_beside_the_verdict():
    found = by_type(conditions(Verdict("True", "Ready", ""), (ASPECT,), generation=3, now="now", before=BEFORE))
    assert set(found) == {"Ready", "NetworkReady"}
    assert found["NetworkReady"] | {"observedGeneration": 3, "lastTransitionTime": "now"} == found["NetworkReady"]


def test_an_aspect_that_was_not_looked_at_stays_as_it_was():
    before = conditions(Verdict("True", "Ready", ""), (ASPECT,), generation=3, now="then")
    found = by_type(conditions(Verdict.stalled("SpecInvalid", ""), generation=4, now="now", before=before))
    assert found["NetworkReady"] == by_type(before)["NetworkReady"]
    assert set(found) == {"Ready", "Stalled", "NetworkReady"}


def test_a_trouble_is_told_once():
    before = conditions(Verdict("True", "Ready", ""), (ASPECT,), generation=3, now="then")
    assert news((ASPECT,), ()) == [ASPECT]
    assert news((ASPECT,), before) == []
    assert news((replace(ASPECT, truth="True"),), ()) == []
    other = replace(ASPECT, message="add that")
    assert news((other,), before) == [other]


def test_an_anomaly_is_told_when_it_comes_and_when_it_goes():
    comes, goes = Aspect("Anomalous", "True", "Anomaly", "4 times"), Aspect("Anomalous", "False", "AsUsual", "as usual")
    before = conditions(Verdict("True", "Ready", ""), (comes,), generation=3, now="then")
    assert news((comes,), ()) == [comes]
    assert news((comes,), before) == []
    assert news((goes,), before) == [goes]
    assert news((goes,), ()) == []
