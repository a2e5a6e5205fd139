"""What a pass does where something or somebody stands in its way."""

import json

import pytest

from apm_operator import errors
from apm_operator.kinds import AGENTS
from apm_operator.reconcile.secrets import At
from unit.apm_operator.world import STATE, World


async def test_a_missing_secret_is_told_and_its_coming_rolls_the_pods(world: World):
    world.write(state=STATE)
    await world.reconcile()
    assert world.ready == ("False", "SecretMissing")
    assert world.kube.kinds()["Deployment"] == 1
    world.secret("mongodb://x")
    at = At("Secret", "shop", "apm-mongodb")
    assert await world.secrets._read(at, world.secrets._secrets[at])
    await world.reconcile()
    assert world.ready == ("Unknown", "Progressing")
    template = world.kube.objects["Deployment", "shop", "one"]["spec"]["template"]
    assert "apm.valeo-neuroerp.com/secrets-hash" in template["metadata"]["annotations"]


async def test_no_value_of_a_secret_is_kept_or_written(world: World):
    world.secret("mongodb://user:very-secret@host")
    world.write(state=STATE)
    await world.reconcile()
    assert "very-secret" not in repr(world.secrets._secrets)
    written = {at: found for at, found in world.kube.objects.items() if at[0] != "Secret"}
    assert "very-secret" not in json.dumps(list(written.values()))


async def test_a_secret_that_may_not_be_read_is_no_failure(world: World):
    world.kube.fail["get", "Secret"] = [errors.Forbidden("no", status=403)]
    world.write(state=STATE)
    await world.reconcile()
    assert world.ready == ("Unknown", "Progressing")
    assert world.events() == ["SecretNotReadable", "TargetsUnknown"]
    await world.reconcile()
    assert world.kube.kinds()["Event"] == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.QuotaExceeded("exceeded quota: q", status=403), "QuotaExceeded"),
        (errors.Forbidden("no right", status=403), "Forbidden"),
        (errors.ApiError("broken", status=500), "ApiError"),
    ],
)
async def test_a_refusal_is_told_and_tried_again(world: World, error: errors.ApiError, reason: str):
    world.kube.fail["apply", "Deployment"] = [error]
    world.write()
    outcome = await world.reconcile(failures=3)
    assert outcome.failed
    assert world.ready == ("False", reason)
    assert "observedGeneration" not in world.status
    assert not (await world.reconcile()).failed
    assert world.ready == ("Unknown", "Progressing")
    assert world.status["observedGeneration"] == 1


async def test_an_invalid_child_stalls(world: World):
    world.kube.fail["apply", "Deployment"] = [errors.Invalid("spec.template: bad", status=422)]
    world.write()
    outcome = await world.reconcile()
    assert (outcome.result, outcome.failed) == ("invalid", False)
    assert world.ready == ("False", "SpecInvalid")


@pytest.mark.parametrize(
    "error",
    [
        errors.Overloaded("busy", status=429, retry_after=7),
        errors.ApiError("broken", status=500),
        errors.Conflict("newer", status=409),
        errors.Unreachable("no answer"),
    ],
)
async def test_a_short_trouble_leaves_no_trace_in_the_status(world: World, error: errors.ApiError):
    world.kube.fail["apply", "Deployment"] = [error]
    world.write()
    outcome = await world.reconcile()
    assert (outcome.failed, outcome.at_least) == (True, error.retry_after)
    assert world.status == {}
    assert not (await world.reconcile(failures=1)).failed
    assert world.ready == ("Unknown", "Progressing")


async def test_a_namespace_that_goes_away_is_left_in_peace(world: World):
    world.kube.fail["apply", "ServiceAccount"] = [errors.NamespaceTerminating("x", status=403)]
    world.write()
    outcome = await world.reconcile()
    assert (outcome.result, outcome.failed) == ("gone", False)
    assert world.status == {}


async def test_an_object_of_somebody_else_is_not_taken_over(world: World):
    world.kube.objects["Service", "shop", "one"] = {
        "kind": "Service",
        "metadata": {"name": "one", "namespace": "shop", "uid": "theirs", "resourceVersion": "1"},
        "spec": {"selector": {"app": "theirs"}},
    }
    world.write()
    assert (await world.reconcile()).failed
    assert world.ready == ("False", "NameTaken")
    assert world.kube.objects["Service", "shop", "one"]["spec"] == {"selector": {"app": "theirs"}}


async def test_a_child_whose_owner_was_taken_out_by_hand_is_repaired(world: World):
    world.write()
    await world.reconcile()
    world.change("Deployment", metadata__ownerReferences=[])
    assert (await world.reconcile()).result == "changed"
    assert world.kube.objects["Deployment", "shop", "one"]["metadata"]["ownerReferences"][0]["uid"] == "uid-one"


async def test_a_child_that_another_owner_holds_for_long_is_told(world: World):
    world.write()
    await world.reconcile()
    world.change(
        "Deployment", metadata__ownerReferences=[{"uid": "other", "name": "x", "kind": "X", "controller": True}]
    )
    assert (await world.reconcile(failures=2)).failed
    assert world.ready == ("Unknown", "Progressing")
    assert (await world.reconcile(failures=3)).failed
    assert world.ready == ("False", "NameTaken")


async def test_children_of_an_earlier_resource_of_the_name_are_waited_for(world: World):
    world.write()
    await world.reconcile()
    for (kind, _, _), child in world.kube.objects.items():
        if kind != AGENTS.kind:
            child["metadata"]["ownerReferences"][0]["uid"] = "uid-earlier"
    world.restart()
    assert (await world.reconcile()).failed
    assert world.kube.writes() == {}
