"""Golden manifests: what one spec becomes. `UPDATE_GOLDEN=1 pytest ...` writes them anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_runtime.spec.agent import RuntimeConfig
from apm_operator.api.agentdeployment import AgentDeployment
from apm_operator.manifests.agent import Surroundings
from apm_operator.reconcile.plan import config, mounted_secrets, secret_uses, wanted
from apm_operator.reconcile.secrets import SecretUse
from apm_operator.reconcile.surroundings import Outlook
from unit.apm_operator.agents import NOWHERE, SCRIPTED, WORKFLOW, body, plan

GOLDEN = Path(__file__).parent / "golden"
MONGODB = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}
SLEEPS = {"minReplicas": 0, "maxReplicas": 8, "targetQueueDepth": 5}
CASES: dict[str, dict[str, Any]] = {
    "small": {},
    "sleeping": {
        "state": MONGODB,
        "autoscaling": SLEEPS,
        "tls": {},
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "low",
        "network": {"ingressFrom": [{"podSelector": {"matchLabels": {"app": "shop-front"}}}]},
    },
    "full": {
        "replicas": 3,
        "image": "registry.example/own:2",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "models": [
            {
                "name": "default",
                "provider": "openai",
                "model": "some-model",
                "baseURL": "http://llm.models.svc:8000/v1",
                "apiKeySecretRef": {"name": "llm", "key": "api-key"},
            }
        ],
        "integrations": {
            "crm": {"baseURL": "http://crm.shop.svc:8000/v1", "apiKeySecretRef": {"name": "llm", "key": "api-key"}},
            "knowledgeBase": {"editors": ["loader"]},
        },
        "state": MONGODB,
        "env": [
            {"name": "COLOUR", "value": "blue"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "own", "key": "password"}}},
        ],
        "envFrom": [{"secretRef": {"name": "many"}}],
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "podTemplate": {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}},
        "permissions": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["llm"], "verbs": ["get"]},
        ],
    },
}


CASES["encrypted"] = {
    "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "agent", "with": {"ref": "other"}}]},
    "auth": {"serviceAccounts": {"allow": ["desk/clerk"]}, "apiKeys": {"secretRef": {"name": "callers"}}},
    "tls": {"mode": "Enabled", "duration": "720h"},
}
ASLEEP = Outlook(Surroundings(callers=(("shop", "two"),), keda=True))
AROUND = Outlook(
    Surroundings(
        callers=(("shop", "two"), ("desk", "one")),
        peers=(("shop", "other"),),
        authorities="-----BEGIN CERTIFICATE-----\n",
        token_review_url="https://apm-operator.apm-system.svc:8443/tokenreviews",  # noqa: S106
    )
)


@pytest.mark.parametrize("case", CASES)
def test_the_children_are_as_in_the_golden_file(case: str):
    around = {"encrypted": AROUND, "sleeping": ASLEEP}.get(case, NOWHERE)
    made = plan("5ec4e75a5b" if case == "full" else "", around, **CASES[case])
    text = yaml.safe_dump_all([json.loads(manifest.body) for manifest in made.manifests], sort_keys=True, width=110)
    file = GOLDEN / f"{case}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_the_same_spec_makes_the_same_bytes():
    assert plan(**CASES["full"]).manifests == plan(**CASES["full"]).manifests


def digests(made: Any) -> dict[str, str]:
    return {manifest.resource.kind: manifest.digest for manifest in made.manifests}


def test_another_secret_touches_the_deployment_alone():
    one, other = digests(plan("aaaa", **CASES["full"])), digests(plan("bbbb", **CASES["full"]))
    assert {kind for kind in one if one[kind] != other[kind]} == {"Deployment"}


def test_more_replicas_touch_no_pod():
    one, other = plan(replicas=3, state=MONGODB), plan(replicas=4, state=MONGODB)
    templates = [
        json.loads(manifest.body)["spec"]["template"]
        for made in (one, other)
        for manifest in made.manifests
        if manifest.resource.kind == "Deployment"
    ]
    assert templates[0] == templates[1]
    assert digests(one)["Deployment"] != digests(other)["Deployment"]


def test_another_prompt_is_another_config_map_and_rolls_the_pods():
    nodes = [WORKFLOW["nodes"][0] | {"with": {"prompt": "Other."}}]
    one, other = plan(), plan(workflow=WORKFLOW | {"nodes": nodes})
    assert one.config_map != other.config_map
    assert digests(one)["Deployment"] != digests(other)["Deployment"]


def test_the_runtime_reads_what_is_written():
    agent = AgentDeployment.parse(body(**CASES["full"]))
    read = RuntimeConfig.model_validate_json(config(agent.spec, "one", "shop", Surroundings()))
    assert read.spec.models == agent.spec.models
    assert read.spec.state == agent.spec.state
    assert read.spec.workflow == agent.spec.workflow
    assert (read.agent.name, read.agent.namespace) == ("one", "shop")


def test_peers_are_the_agents_that_the_workflow_asks():
    node = {"name": "answer", "uses": "agent", "with": {"ref": "other"}, "next": "end"}
    agent = AgentDeployment.parse(body(workflow={"start": "answer", "nodes": [node]}))
    assert RuntimeConfig.model_validate_json(config(agent.spec, "one", "shop", Surroundings())).peers == {
        "other": "https://other.shop.svc:8443"
    }
    plain = Surroundings(plain=(("shop", "other"),))
    assert RuntimeConfig.model_validate_json(config(agent.spec, "one", "shop", plain)).peers == {
        "other": "http://other.shop.svc:8080"
    }


def test_agents_that_get_events_are_peers_and_what_sinks_prove_themselves_with_is_mounted():
    hooks = {
        "name": "hooks",
        "url": "https://hooks.example",
        "bearerTokenSecretRef": {"name": "hooks", "key": "token"},
        "apiKeySecretRef": {"name": "hooks", "key": "api-key"},
        "signingKeySecretRef": {"name": "hooks", "key": "signing"},
    }
    spec = AgentDeployment.parse(body(events={"sinks": [{"name": "bar", "agent": "bar"}, hooks]})).spec
    read = RuntimeConfig.model_validate_json(config(spec, "one", "shop", Surroundings()))
    assert read.peers == {"bar": "https://bar.shop.svc:8443"}
    assert secret_uses(spec, mounted_secrets(spec)) == {
        SecretUse("hooks", key) for key in ("token", "api-key", "signing")
    }
    assert wanted(spec, "shop").peers == (("shop", "bar"),)


def test_an_agent_that_is_refused_its_permissions_has_neither_role_nor_token():
    asked = CASES["full"] | {
        "permissions": [
            *CASES["full"]["permissions"],
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        ]
    }
    made = plan(**asked)
    assert '"pods"' in made.refused
    assert '"secrets"' not in made.refused
    without = CASES["full"] | {"permissions": []}
    assert digests(made) == digests(plan(**without))
    assert {"Role", "RoleBinding"} <= digests(plan(**CASES["full"])).keys() - digests(made).keys()


def test_every_secret_that_decides_what_pods_do_is_known():
    tool = {
        "name": "crm",
        "http": {
            "url": "http://crm/",
            "bearerTokenSecretRef": {"name": "crm", "key": "token"},
            "apiKeySecretRef": {"name": "crm", "key": "api-key"},
        },
    }
    integrations = {"crm": {"baseURL": "http://crm/v1", "apiKeySecretRef": {"name": "services", "key": "api-key"}}}
    spec = CASES["full"] | {"workflow": WORKFLOW | {"tools": [tool]}, "integrations": integrations}
    read = AgentDeployment.parse(body(**spec)).spec
    assert secret_uses(read, mounted_secrets(read)) == {
        SecretUse("llm", "api-key"),
        SecretUse("apm-mongodb", "uri"),
        SecretUse("crm", "token"),
        SecretUse("crm", "api-key"),
        SecretUse("services", "api-key"),
        SecretUse("own", "password"),
        SecretUse("many", ""),
    }


def test_the_keys_of_callers_are_mounted_whole_and_a_new_one_rolls_no_pods():
    made = plan(auth={"apiKeys": {"secretRef": {"name": "callers"}}})
    assert made.secrets == {SecretUse("callers", "", live=True)}
    deployment = next(json.loads(each.body) for each in made.manifests if each.resource.kind == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert {"name": "api-keys", "secret": {"secretName": "callers", "defaultMode": 0o440}} in pod["volumes"]
    mount = {"name": "api-keys", "mountPath": "/var/run/apm/api-keys", "readOnly": True}
    assert mount in pod["containers"][0]["volumeMounts"]


def test_every_config_map_of_the_environment_is_known():
    size = {"name": "SIZE", "valueFrom": {"configMapKeyRef": {"name": "sizes", "key": "main", "optional": True}}}
    read = AgentDeployment.parse(body(env=[size], envFrom=[{"configMapRef": {"name": "common"}}])).spec
    assert secret_uses(read, ()) == {
        SecretUse("sizes", "main", optional=True, kind="ConfigMap"),
        SecretUse("common", "", kind="ConfigMap"),
    }


def test_a_wrong_workflow_has_no_manifests_and_says_why():
    made = plan(workflow=WORKFLOW | {"start": "nowhere"})
    assert made.manifests == ()
    assert "workflow.start" in made.problems
    assert "nowhere" in made.problems


def test_the_summary_for_the_status():
    made = plan(models=[SCRIPTED])
    assert (made.url, made.model) == ("http://one.shop.svc:8080", "scripted")
    assert made.selector == "apm.valeo-neuroerp.com/agent=one"
    assert made.workflow.startswith("flowchart")
