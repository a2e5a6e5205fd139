"""The condition Ready says what is wrong, and goes back to true by itself once it is put right."""

import json

from e2e.support.manifests import agent, mongodb, secret
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.waiting import until

_PASSWORD = "correct-horse-battery-staple"  # noqa: S105  one that must show up nowhere


def test_a_missing_secret_is_named_and_making_it_is_enough(space: Space) -> None:
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "main"}}}
    space.apply(agent("needy", env=[token]))
    condition = space.until_reason("needy", "SecretMissing")
    assert condition["status"] == "False"
    assert "Secret tokens with key main is missing" in condition["message"]
    # It comes after the status.
    until("an Event", lambda: _event_reasons(space), lambda reasons: "SecretMissing" in reasons, seconds=30)

    space.apply(secret("tokens", main="abc"))
    space.ready("needy")


def test_an_image_that_cannot_be_pulled_is_named(space: Space) -> None:
    image = "127.0.0.1:1/no/such-image:1"
    space.apply(agent("imageless", image=image))
    condition = space.until_reason("imageless", "ImagePullFailed")
    assert image in condition["message"]

    space.kubectl("patch", "agentdeployment", "imageless", "--type=merge", '--patch={"spec": {"image": null}}')
    space.ready("imageless")


def test_an_invalid_workflow_names_the_node_and_changes_nothing_that_runs(space: Space) -> None:
    space.apply(agent("flow"))
    space.ready("flow")
    before = [pod["metadata"]["uid"] for pod in space.pods("flow")]

    nodes = [{"name": "answer", "uses": "model", "next": "nowhere"}, {"name": "lonely", "uses": "model"}]
    space.apply(agent("flow", workflow={"start": "answer", "nodes": nodes}))
    condition = space.until_reason("flow", "WorkflowInvalid")
    assert "workflow.nodes[0].next" in condition["message"]
    assert "nowhere" in condition["message"]
    kinds = {each["type"] for each in space.get("agentdeployment", "flow")["status"]["conditions"]}
    assert kinds == {"Ready", "Stalled", "NetworkReady", "CertificateReady"}
    assert [pod["metadata"]["uid"] for pod in space.pods("flow")] == before

    space.apply(agent("flow"))
    space.ready("flow")


def test_a_mongodb_that_does_not_answer_is_told_without_its_password(space: Space) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "nobody"},
        "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 27017}]},
    }
    uri = f"mongodb://user:{_PASSWORD}@nobody.{space.name}.svc:27017/"
    space.apply(service, secret("lost", uri=uri), agent("stateful", state=mongodb("lost")))
    condition = space.until_reason("stateful", "StateUnavailable")
    assert "mongodb" in condition["message"]
    assert _PASSWORD not in _everything_shown(space, "stateful")

    found = json.loads(space.kubectl("get", "secret", "apm-mongodb", "--output=json"))
    space.apply({**secret("lost"), "data": found["data"]})
    space.ready("stateful", seconds=120)


def test_pods_that_crash_tell_their_last_line_without_secrets(space: Space) -> None:
    manifest = agent(
        "broken",
        models=None,
        workflow=None,
        graph="e2e_no_such_module:graph",
        image=Operator(space.cluster).runtime_image(),
        env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "main"}}}],
    )
    space.apply(secret("tokens", main=_PASSWORD), manifest)
    condition = space.until_reason("broken", "PodsCrash")
    assert "No module named 'e2e_no_such_module'" in condition["message"]
    assert _PASSWORD not in _everything_shown(space, "broken")

    space.apply(agent("broken"))
    space.ready("broken")
    assert space.names("deployments") == ["broken"]


def test_an_exceeded_quota_is_told_and_raising_it_is_enough(space: Space) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    space.apply(quota)
    until(
        "quota in force",
        lambda: space.get("resourcequota", "none").get("status", {}).get("hard", {}),
        lambda hard: hard.get("pods") == "0",
        seconds=30,
    )
    space.apply(agent("tight"))
    condition = space.until_reason("tight", "QuotaExceeded")
    assert "exceeded quota" in condition["message"]

    space.kubectl("delete", "resourcequota", "none")
    space.ready("tight")


def _event_reasons(space: Space) -> set[str]:
    return set(space.kubectl("get", "events", "--output=jsonpath={.items[*].reason}").split())


def _everything_shown(space: Space, name: str) -> str:
    """What a reader without access to Secrets sees of an agent: objects, Events and logs."""
    kinds = "agentdeployments,configmaps,deployments,pods,events"
    shown = space.kubectl("get", kinds, "--output=yaml")
    logs = space.kubectl("logs", f"-l=apm.valeo-neuroerp.com/agent={name}", "--tail=-1")
    return shown + logs + Operator(space.cluster).logs()
