from typing import Any

import pytest

from apm_operator import errors
from apm_operator.reconcile import assess
from apm_operator.reconcile.facts import DeploymentFacts, PodFacts
from apm_operator.reconcile.secrets import Findings, SecretUse

DONE = DeploymentFacts(generation=1, observed_generation=1, wanted=2, replicas=2, updated=2, ready=2, available=2)
ROLLING = DeploymentFacts(generation=1, observed_generation=1, wanted=2, replicas=2, updated=1, available=1)


def pod(**facts: Any) -> PodFacts:
    return PodFacts(version="1", config="new", **facts)


def observed(deployment: DeploymentFacts | None, unready: dict[str, str] | None = None, **pods: PodFacts):
    return assess.observed(deployment, pods, config="new", unready=unready or {})


@pytest.mark.parametrize(
    ("deployment", "ready", "reason", "work"),
    [
        (None, "Unknown", "Progressing", "Reconciling"),
        (DeploymentFacts(generation=2, observed_generation=1), "Unknown", "Progressing", "Reconciling"),
        (DONE, "True", "Ready", ""),
        (DeploymentFacts(wanted=0), "True", "Ready", ""),
        (ROLLING, "Unknown", "RollingOut", "Reconciling"),
        (DeploymentFacts(wanted=1, stuck=True), "False", "RollingOut", "Reconciling"),
        (DeploymentFacts(failure="pods is forbidden: exceeded quota: q"), "False", "QuotaExceeded", "Reconciling"),
        (DeploymentFacts(failure="violates PodSecurity"), "False", "Forbidden", "Reconciling"),
    ],
)
def test_what_the_deployment_tells(deployment: DeploymentFacts | None, ready: str, reason: str, work: str):
    verdict = observed(deployment)
    assert (verdict.ready, verdict.reason, verdict.work) == (ready, reason, work)


@pytest.mark.parametrize(
    ("facts", "reason", "told"),
    [
        ({"waiting": "ImagePullBackOff", "image": "img:9"}, "ImagePullFailed", "img:9"),
        ({"waiting": "CrashLoopBackOff", "restarts": 2, "exit_code": 1, "exit_message": "boom"}, "PodsCrash", "boom"),
        ({"restarts": 1, "exit_code": 137, "exit_reason": "OOMKilled"}, "PodsCrash", "memory"),
        ({"waiting": "CreateContainerError", "waiting_message": "no user"}, "PodsCrash", "no user"),
        ({"unschedulable": "0/3 nodes are available"}, "PodsUnschedulable", "0/3 nodes"),
    ],
)
def test_what_a_pod_tells(facts: dict[str, Any], reason: str, told: str):
    verdict = observed(ROLLING, a=pod(**facts))
    assert (verdict.ready, verdict.reason) == ("False", reason)
    assert told in verdict.message
    assert "pod a" in verdict.message.lower()


def test_a_pod_that_runs_and_is_not_ready_is_asked_why():
    verdict = observed(ROLLING, {"a": "mongodb: connection refused"}, a=pod(running=True))
    assert verdict.reason == "StateUnavailable"
    assert "mongodb: connection refused" in verdict.message


def test_the_trouble_of_a_pod_on_its_way_out_does_not_count():
    crashed = {"waiting": "CrashLoopBackOff", "restarts": 2}
    assert observed(ROLLING, a=pod(deleting=True, **crashed)).reason == "RollingOut"
    old = PodFacts(version="1", config="old", **crashed)
    assert observed(ROLLING, a=old).reason == "RollingOut"


def test_what_keeps_the_image_away_is_told_before_a_crash():
    verdict = observed(ROLLING, a=pod(waiting="CrashLoopBackOff", restarts=1), b=pod(waiting="ErrImagePull"))
    assert verdict.reason == "ImagePullFailed"


@pytest.mark.parametrize(
    ("error", "reason", "work"),
    [
        (errors.QuotaExceeded("x", status=403), "QuotaExceeded", "Reconciling"),
        (errors.NotHeld("x", status=403), "PermissionsNotGranted", "Reconciling"),
        (errors.Forbidden("x", status=403), "Forbidden", "Reconciling"),
        (errors.Invalid("x", status=422), "SpecInvalid", "Stalled"),
        (errors.ApiError("x", status=500), "ApiError", "Reconciling"),
    ],
)
def test_what_a_refusal_means(error: errors.ApiError, reason: str, work: str):
    verdict = assess.refused(error)
    assert (verdict.ready, verdict.reason, verdict.work) == ("False", reason, work)


def test_a_missing_secret_is_named_with_the_one_command_that_makes_it():
    verdict = assess.missing(Findings(missing=(SecretUse("llm", "user"), SecretUse("llm", "api-key"))), "shop")
    assert verdict.reason == "SecretMissing"
    assert "Secret llm with keys api-key, user is missing" in verdict.message
    command = "kubectl -n shop create secret generic llm --from-literal=api-key=VALUE --from-literal=user=VALUE"
    assert verdict.message.count("kubectl") == verdict.message.count(command) == 1


def test_a_key_that_a_secret_lacks_is_added_to_it_and_not_by_making_the_secret_again():
    verdict = assess.missing(Findings(incomplete=(SecretUse("llm", "api-key"),)), "shop")
    assert verdict.reason == "SecretMissing"
    assert "Secret llm is there, but has no key api-key" in verdict.message
    assert """patch secret llm --type=merge --patch='{"stringData":{"api-key":"VALUE"}}'""" in verdict.message
    assert "create" not in verdict.message


def test_a_missing_config_map_has_a_reason_of_its_own():
    use = SecretUse("common", "", kind="ConfigMap")
    verdict = assess.missing(Findings(missing=(use,)), "shop")
    assert verdict.reason == "ConfigMapMissing"
    assert "kubectl -n shop create configmap common --from-literal=KEY=VALUE" in verdict.message
    assert assess.missing(Findings(missing=(use, SecretUse("llm", ""))), "shop").reason == "SecretMissing"
    lacking = assess.missing(Findings(incomplete=(SecretUse("common", "a", kind="ConfigMap"),)), "shop")
    assert """patch configmap common --type=merge --patch='{"data":{"a":"VALUE"}}'""" in lacking.message


def test_a_roll_out_that_waits_says_which_secret_could_not_be_looked_at():
    assert "may not read Secret llm" in assess.with_unread_secrets(observed(ROLLING), ["Secret llm"]).message
    assert assess.with_unread_secrets(observed(DONE), ["llm"]) == observed(DONE)


def test_a_state_that_was_unavailable_stays_so_until_something_better_is_known():
    told = {"type": "Ready", "status": "False", "reason": "StateUnavailable", "message": "refused"}
    verdict = assess.still_unavailable([told])
    assert verdict is not None
    assert (verdict.reason, verdict.message) == ("StateUnavailable", "refused")
    assert assess.still_unavailable([told | {"reason": "RollingOut"}]) is None
    assert assess.still_unavailable([]) is None
