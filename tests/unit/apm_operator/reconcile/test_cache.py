"""What is told late must not undo what is known already."""

import json
from typing import Any

import pytest

from apm_operator.kinds import AGENTS, DEPLOYMENTS, RECONCILE_AT
from apm_operator.queue import Key
from apm_operator.reconcile.cache import Cache
from unit.apm_operator.agents import body

KEY = Key("shop", "one")


def deployment(version: str, generation: int, observed: int) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "one",
            "namespace": "shop",
            "uid": "d",
            "resourceVersion": version,
            "generation": generation,
            "labels": {"apm.valeo-neuroerp.com/agent": "one"},
        },
        "spec": {"replicas": 1},
        "status": {"observedGeneration": observed},
    }


def observed(cache: Cache) -> tuple[int, int]:
    entry = cache.get(KEY)
    assert entry is not None
    assert entry.deployment is not None
    return entry.deployment.generation, entry.deployment.observed_generation


def test_a_list_that_is_older_than_the_watch_brings_no_old_spec_back():
    cache = Cache()
    cache.observe(body(generation=2, version="10"), deleted=False)
    assert cache.observe(body(generation=1, version="9"), deleted=False) == ()
    entry = cache.get(KEY)
    assert entry is not None
    assert entry.agent is not None
    assert entry.agent.generation == 2


def test_an_agent_made_anew_counts_whatever_its_version():
    cache = Cache()
    cache.observe(body(version="10"), deleted=False)
    new = body(version="9")
    new["metadata"]["uid"] = "another"
    assert cache.observe(new, deleted=False) == (KEY,)


def test_an_event_from_before_an_apply_does_not_pass_for_its_outcome():
    cache = Cache()
    cache.record_apply(KEY, DEPLOYMENTS, deployment("10", generation=2, observed=1), "digest")
    assert cache.observe(deployment("9", generation=1, observed=1), deleted=False) == ()
    assert observed(cache) == (2, 1)


def test_an_answer_that_comes_after_the_watch_told_more_is_too_late():
    cache = Cache()
    cache.observe(deployment("11", generation=2, observed=2), deleted=False)
    cache.record_apply(KEY, DEPLOYMENTS, deployment("10", generation=2, observed=1), "digest")
    assert observed(cache) == (2, 2)


def test_an_apply_that_changed_nothing_settles_the_child():
    """Else it would be applied in each pass, where an admission rule writes a field in its own way."""
    cache = Cache()
    cache.observe(deployment("10", generation=2, observed=2), deleted=False)
    cache.record_apply(KEY, DEPLOYMENTS, deployment("10", generation=2, observed=2), "digest")
    entry = cache.get(KEY)
    assert entry is not None
    assert entry.children["Deployment", "one"].matches == "digest"


def test_a_list_that_is_older_than_a_deletion_brings_nothing_back():
    cache = Cache()
    cache.observe(body(version="10"), deleted=False)
    cache.observe(deployment("11", generation=1, observed=1), deleted=False)
    assert cache.observe(body(version="12"), deleted=True) == (KEY,)
    assert cache.observe(deployment("13", generation=1, observed=1), deleted=True) == (KEY,)
    assert cache.observe(body(version="10"), deleted=False) == ()
    assert cache.observe(deployment("11", generation=1, observed=1), deleted=False) == ()
    assert cache.get(KEY) is None


def test_a_list_shows_nothing_that_was_deleted_before_it_was_known():
    cache = Cache()
    assert cache.observe(body(version="12"), deleted=True) == ()
    assert cache.observe(body(version="10"), deleted=False) == ()
    assert cache.get(KEY) is None


def test_a_child_that_is_deleted_before_the_answer_to_its_apply_comes_is_made_again():
    cache = Cache()
    cache.observe(body(version="10"), deleted=False)
    assert cache.observe(deployment("12", generation=1, observed=0), deleted=True) == (KEY,)
    cache.record_apply(KEY, DEPLOYMENTS, deployment("11", generation=1, observed=0), "digest")
    entry = cache.get(KEY)
    assert entry is not None
    assert entry.children == {}


def test_deletions_are_kept_in_mind_over_one_listing():
    cache = Cache()
    cache.observe(body(version="12"), deleted=True)
    cache.forget_deleted()
    assert cache.observe(body(version="10"), deleted=False) == ()
    cache.forget_deleted()
    assert cache.observe(body(version="10"), deleted=False) == (KEY,)


def event(found: dict[str, Any], kind: str = "ADDED") -> bytes:
    return json.dumps({"type": kind, "object": found}, separators=(",", ":")).encode()


def test_the_echo_of_an_answer_is_expected():
    cache = Cache()
    answer = deployment("10", generation=1, observed=0)
    cache.record_apply(KEY, DEPLOYMENTS, answer, "digest")
    assert cache.echoes.take(event(answer))


def test_an_echo_that_was_faster_than_its_answer_is_not_expected_any_more():
    cache = Cache()
    answer = deployment("10", generation=1, observed=0)
    cache.observe(answer, deleted=False)
    cache.record_apply(KEY, DEPLOYMENTS, answer, "digest")
    assert not len(cache.echoes)


def test_the_echo_of_a_status_is_expected():
    cache = Cache()
    cache.observe(body(version="10"), deleted=False)
    answer = body(version="11")
    cache.record_status(KEY, answer)
    assert cache.known(AGENTS) == {(KEY, "one"): "11"}
    assert cache.echoes.take(event(answer, "MODIFIED"))


@pytest.mark.parametrize(
    "change",
    [{"generation": 2}, {"annotations": {RECONCILE_AT: "now"}}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}],
    ids=["spec", "annotation", "deletion"],
)
def test_a_change_that_the_answer_to_a_status_shows_first_is_left_to_the_watch(change):
    """Its event is older than the answer, and would pass for known."""
    cache = Cache()
    cache.observe(body(version="10"), deleted=False)
    changed = body(version="11")
    changed["metadata"] |= change
    answer = body(version="12")
    answer["metadata"] |= change
    cache.record_status(KEY, answer)
    cache.observe(changed, deleted=False)
    assert cache.known(AGENTS) == {(KEY, "one"): "11"}
    assert not cache.echoes.take(event(answer, "MODIFIED"))


def test_what_is_gone_is_known_no_more():
    cache = Cache()
    cache.observe(body(version="10"), deleted=False)
    cache.observe(deployment("11", generation=1, observed=0), deleted=False)
    assert cache.gone(DEPLOYMENTS, KEY, "one", "11") == (KEY,)
    assert cache.known(DEPLOYMENTS) == {}


def test_what_has_changed_since_it_was_listed_is_not_gone():
    cache = Cache()
    cache.observe(deployment("12", generation=1, observed=0), deleted=False)
    assert cache.gone(DEPLOYMENTS, KEY, "one", "11") == ()
    assert cache.known(DEPLOYMENTS) == {(KEY, "one"): "12"}
