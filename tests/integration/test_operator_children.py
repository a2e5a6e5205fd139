"""What the operator makes of an AgentDeployment, and that it stays so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.controlplane import ControlPlane
from integration.operators import Operator, agent, eventually, operator
from integration.shop import Shop

STATE = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}


class Space(Shop):
    """With what these tests ask of it."""

    def names(self, kind: str) -> list[str]:
        found = self.kubectl("get", kind, "--selector=app.kubernetes.io/managed-by=apm-operator", "--output=name")
        return sorted(name.partition("/")[2] for name in found.split())

    def reason(self, name: str = "one") -> str:
        conditions = self.get("agent", name).get("status", {}).get("conditions", [])
        return next((c["reason"] for c in conditions if c["type"] == "Ready"), "")

    def becomes(self, reason: str, name: str = "one") -> None:
        eventually(f"{name} becomes {reason}", lambda: self.reason(name) == reason)

    def template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("deployment")["spec"]["template"]
        return found


@pytest.fixture
def shop(control_plane: ControlPlane, namespace: str) -> Space:
    return Space(control_plane, namespace)


@pytest.fixture
def running(shop: Space, tmp_path: Path) -> Iterator[Operator]:
    with operator(shop.plane.kubeconfig, shop.namespace, tmp_path / "log") as started:
        started.ready()
        yield started


@pytest.fixture
def made(shop: Space, running: Operator) -> Operator:
    """The operator has made agent `one`."""
    shop.agent()
    shop.becomes("Progressing")
    return running


def again(check: Callable[[], bool]) -> None:
    eventually("repaired", check)


def test_an_agent_gets_its_children_with_one_write_each(shop: Space, made: Operator):
    made.idle()
    # The authority, its first promise, and what it signs for the operator itself, beside its work for agents.
    eventually("it has its own certificates", lambda: made.calls().get(("apply", "Secret"), 0) >= 4)
    calls = made.calls()
    assert calls.pop(("apply", "Secret")) == 4
    assert calls == {
        ("apply", "ServiceAccount"): 1,
        ("apply", "ConfigMap"): 1,
        ("apply", "Service"): 1,
        ("apply", "NetworkPolicy"): 1,
        ("apply", "Deployment"): 1,
        ("patch-status", "AgentDeployment"): 1,
    }
    owner = shop.get("deployment")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("AgentDeployment", "one", True)
    status = shop.get("agent")["status"]
    assert status["url"] == f"http://one.{shop.namespace}.svc:8080"
    assert status["observedGeneration"] == 1
    assert status["workflow"].startswith("flowchart")


def test_a_log_line_names_the_object_that_it_is_about(shop: Space, made: Operator):

    def told() -> dict[str, Any] | None:
        return next((line for line in made.lines() if line.get("reason") == "Progressing"), None)

    line = eventually("it is logged, after the status was written", told)
    uid = shop.get("agent")["metadata"]["uid"]
    assert (line["namespace"], line["name"], line["uid"]) == (shop.namespace, "one", uid)


def test_nothing_is_written_on_the_resource_but_its_status(shop: Space, made: Operator):
    made.idle()
    metadata = json.loads(shop.kubectl("get", "agent", "one", "--output=json", "--show-managed-fields"))["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata
    mine = [entry for entry in metadata["managedFields"] if entry["manager"] == "apm-operator"]
    assert [entry["subresource"] for entry in mine] == ["status"]


def test_the_pods_pass_pod_security_restricted(shop: Space, made: Operator):
    shop.kubectl("label", "namespace", shop.namespace, "pod-security.kubernetes.io/enforce=restricted")
    template = shop.template()
    template["spec"].pop("serviceAccountName")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": template["spec"]}
    assert "created" in shop.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
    made.idle()


@pytest.mark.parametrize("kind", ["serviceaccount", "service", "networkpolicy", "deployment"])
def test_a_deleted_child_comes_back(shop: Space, made: Operator, kind: str):
    uid = shop.get(kind)["metadata"]["uid"]
    shop.kubectl("delete", kind, "one")
    again(lambda: shop.get(kind).get("metadata", {}).get("uid", uid) != uid)
    made.idle()


def test_what_was_edited_by_hand_is_put_right(shop: Space, made: Operator):
    shop.kubectl("set", "image", "deployment/one", "agent=registry.example/evil:9")
    again(lambda: shop.template()["spec"]["containers"][0]["image"] == "registry.example/agent:1")
    shop.kubectl("patch", "service", "one", '--patch={"spec":{"selector":{"apm.valeo-neuroerp.com/agent":"x"}}}')
    again(lambda: shop.get("service")["spec"]["selector"] == {"apm.valeo-neuroerp.com/agent": "one"})
    made.idle()
    assert made.calls()["apply", "Deployment"] == 2


def test_what_somebody_adds_is_left_alone(shop: Space, made: Operator):
    shop.kubectl("annotate", "service", "one", "note=mine")
    shop.kubectl("annotate", "agent", "one", "apm.valeo-neuroerp.com/reconcile-at=1")
    eventually("seen", lambda: shop.get("agent")["status"].get("lastHandledReconcileAt") == "1")
    made.idle()
    assert shop.get("service")["metadata"]["annotations"]["note"] == "mine"
    assert made.calls()["apply", "Service"] == 1


def test_children_follow_the_spec(shop: Space, made: Operator):
    shop.kubectl("create", "secret", "generic", "apm-mongodb", "--from-literal=uri=mongodb://x")
    shop.agent(replicas=2, state=STATE)
    eventually("a budget", lambda: shop.names("poddisruptionbudget") == ["one"])
    eventually("two replicas", lambda: shop.get("deployment")["spec"]["replicas"] == 2)
    shop.agent()
    eventually("no budget", lambda: shop.names("poddisruptionbudget") == [])
    made.idle()
    volumes = {volume["name"] for volume in shop.template()["spec"]["volumes"]}
    assert volumes == {"config", "tmp"}


def test_scale_is_a_change_of_the_spec(shop: Space, made: Operator):
    shop.kubectl("scale", "agent", "one", "--replicas=0")
    eventually("scaled", lambda: shop.get("deployment")["spec"]["replicas"] == 0)
    made.idle()


def test_a_wrong_workflow_is_told_and_a_right_one_goes_on(shop: Space, made: Operator):
    before = shop.template()
    node = {"name": "answer", "uses": "model", "next": "nowhere"}
    shop.agent(workflow={"start": "answer", "nodes": [node]})
    shop.becomes("WorkflowInvalid")
    status = shop.get("agent")["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "False",
        "Stalled": "True",
        "NetworkReady": "True",
    }
    assert "workflow.nodes[0].next" in status["conditions"][0]["message"]
    assert shop.template() == before
    made.idle()
    shop.agent()
    shop.becomes("Progressing")

    def statuses() -> int:
        return made.calls()["patch-status", "AgentDeployment"]

    # A write is counted when it is answered: whoever looks at the agent may have seen it before.
    eventually("the third status", lambda: statuses() >= 3)
    made.idle()
    assert statuses() == 3


def test_a_secret_is_missed_found_and_its_rotation_rolls_the_pods(shop: Space, running: Operator):
    shop.agent(state=STATE)
    shop.becomes("SecretMissing")
    shop.kubectl("create", "secret", "generic", "apm-mongodb", "--from-literal=other=1")
    eventually("the key is missed", lambda: "has no key uri" in json.dumps(shop.get("agent")["status"]))
    mend = '--patch={"stringData":{"uri":"mongodb://user:very-secret@x"}}'
    shop.kubectl("patch", "secret", "apm-mongodb", "--type=merge", mend)
    shop.becomes("Progressing")

    def mark() -> str:
        annotations = shop.template()["metadata"]["annotations"]
        return str(annotations.get("apm.valeo-neuroerp.com/secrets-hash", ""))

    first = eventually("a hash", mark)
    patch = '--patch={"stringData":{"uri":"mongodb://user:other@x"}}'
    shop.kubectl("patch", "secret", "apm-mongodb", patch)
    eventually("another hash", lambda: mark() != first)
    shop.kubectl("label", "secret", "apm-mongodb", "note=harmless")
    running.idle()
    assert "very-secret" not in running.log.read_text()
    assert "very-secret" not in shop.kubectl("get", "agent,deployment,configmap,events", "--output=yaml")


def test_a_config_map_of_the_environment_is_missed_found_and_its_change_rolls_the_pods(shop: Space, running: Operator):
    size = {"name": "SIZE", "valueFrom": {"configMapKeyRef": {"name": "sizes", "key": "main"}}}
    shop.agent(envFrom=[{"configMapRef": {"name": "common"}}], env=[size])
    shop.becomes("ConfigMapMissing")
    shop.kubectl("create", "configmap", "common", "--from-literal=COLOUR=blue")
    shop.kubectl("create", "configmap", "sizes", "--from-literal=other=1")
    eventually("a key is missed", lambda: "has no key main" in json.dumps(shop.get("agent")["status"]))
    # What the message says mends it.
    shop.kubectl("patch", "configmap", "sizes", "--type=merge", '--patch={"data":{"main":"VALUE"}}')
    shop.becomes("Progressing")
    first = shop.template()
    shop.kubectl("patch", "configmap", "common", '--patch={"data":{"COLOUR":"red"}}')
    eventually("the pods are rolled", lambda: shop.template() != first)
    running.idle()


def test_suspend_leaves_everything_as_it_is(shop: Space, made: Operator):
    shop.agent(suspend=True, priorityClassName="other")
    shop.becomes("Suspended")
    assert "priorityClassName" not in shop.template()["spec"]
    shop.kubectl("delete", "service", "one")
    shop.kubectl("annotate", "agent", "one", "apm.valeo-neuroerp.com/reconcile-at=1")
    eventually("seen", lambda: shop.get("agent")["status"].get("lastHandledReconcileAt") == "1")
    assert shop.get("service") == {}
    shop.agent()
    eventually("a service again", lambda: shop.get("service"))
    made.idle()


def test_somebody_elses_object_is_not_taken_over(shop: Space, running: Operator):
    shop.kubectl("create", "service", "clusterip", "two", "--tcp=80:80")
    shop.agent("two")
    shop.becomes("NameTaken", "two")
    assert shop.get("service", "two")["spec"]["ports"][0]["port"] == 80
    shop.kubectl("delete", "service", "two")
    shop.becomes("Progressing", "two")
    running.idle()


@pytest.mark.usefixtures("running")
def test_a_service_account_of_somebody_else_is_not_taken_over(shop: Space):
    """It shares no field with the child, so that nothing but its being there speaks against an apply."""
    shop.kubectl("create", "serviceaccount", "one")
    version = shop.get("serviceaccount")["metadata"]["resourceVersion"]
    shop.agent()
    shop.becomes("NameTaken")
    assert shop.get("serviceaccount")["metadata"]["resourceVersion"] == version


def test_an_owner_taken_out_by_hand_comes_back(shop: Space, made: Operator):
    shop.kubectl("patch", "deployment", "one", '--patch={"metadata":{"ownerReferences":null}}', "--type=merge")
    again(lambda: shop.get("deployment")["metadata"].get("ownerReferences"))
    made.idle()


def test_a_resource_nested_as_deep_as_can_be_harms_no_other(shop: Space, running: Operator, tmp_path: Path):
    text = json.dumps(agent("deep", shop.namespace, affinity=0)).replace(
        '"affinity": 0', '"affinity": {"x": ' + '{"a":' * 9900 + "1" + "}" * 9901
    )
    path = f"/apis/apm.valeo-neuroerp.com/v1alpha1/namespaces/{shop.namespace}/agentdeployments"
    shop.kubectl("create", f"--raw={path}", "--filename=-", stdin=text)
    shop.agent()
    shop.becomes("Progressing")
    # Python can't read all of it with its usual limit of recursion.
    reason = "--output=jsonpath={.status.conditions[0].reason}"
    again(lambda: shop.kubectl("get", "agent", "deep", reason) == "SpecInvalid")
    running.end()
    with operator(shop.plane.kubeconfig, shop.namespace, tmp_path / "second") as second:
        second.idle()


def test_a_field_that_kubernetes_does_not_know_is_told(shop: Space, made: Operator):
    shop.agent(affinity={"nodeAffinty": {}})
    shop.becomes("SpecInvalid")
    assert "nodeAffinty" in shop.get("agent")["status"]["conditions"][0]["message"]
    made.idle()


def test_a_used_up_quota_is_told(shop: Space, running: Operator):
    shop.kubectl("create", "quota", "none", "--hard=count/services=0")
    # No quota controller runs here: the test says what it would.
    counted = {"status": {"hard": {"count/services": "0"}, "used": {"count/services": "0"}}}
    shop.kubectl("patch", "quota", "none", "--subresource=status", "--type=merge", f"--patch={json.dumps(counted)}")
    shop.agent()
    shop.becomes("QuotaExceeded")
    shop.kubectl("delete", "quota", "none")
    shop.becomes("Progressing")
    assert shop.kubectl("get", "events", "--field-selector=reason=QuotaExceeded", "--output=name")
    running.idle()


def test_a_deleted_agent_takes_its_children_with_it(shop: Space, made: Operator):
    shop.kubectl("delete", "agent", "one")
    kinds = "serviceaccount,configmap,service,deployment"
    # A young cluster's garbage collector learns of new kinds each half minute, and tries again ever more rarely.
    eventually("all gone", lambda: shop.names(kinds) == [], 120)
    made.idle()


def test_an_agent_made_again_under_its_name_gets_its_own_children(shop: Space, made: Operator):
    shop.kubectl("delete", "agent", "one", "--wait=true")
    shop.agent()
    uid = shop.get("agent")["metadata"]["uid"]

    def owned() -> bool:
        owners = shop.get("deployment").get("metadata", {}).get("ownerReferences", [])
        return [owner["uid"] for owner in owners] == [uid]

    eventually("its own Deployment, when the garbage collector has taken the other", owned, 120)
    made.idle()
