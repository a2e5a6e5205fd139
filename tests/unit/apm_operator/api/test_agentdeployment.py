from __future__ import annotations

from typing import Any

import pytest

from apm_operator.api.agentdeployment import AgentDeployment, AgentDeploymentSpec
from apm_operator.errors import InvalidSpec

METADATA = {"name": "shop", "namespace": "default", "uid": "1", "generation": 3, "managedFields": []}
WORKFLOW = {"start": "answer", "nodes": [{"name": "answer", "uses": "model"}]}

NODE = "spec.workflow.nodes[0]"
SHAPES = (
    "a node's name, `end`, a list of nodes, `{switch: [{when, to}], else}`, `{forEach, to, max}` "
    "or `{handoff: [nodes]}`"
)


def node(**fields: Any) -> dict[str, Any]:
    return {"workflow": {"start": "a", "nodes": [{"name": "a", **fields}]}}


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": METADATA, "spec": {"workflow": WORKFLOW, **spec}}


def test_reads_metadata_spec_and_status():
    agent = AgentDeployment.parse(body(replicas=2) | {"status": {"observedGeneration": 2, "future": 1}})
    assert (agent.metadata.name, agent.metadata.generation) == ("shop", 3)
    assert agent.spec.replicas == 2
    assert agent.status.observed_generation == 2


def test_numbers_are_read_as_quantities():
    spec = AgentDeploymentSpec.model_validate({"resources": {"limits": {"cpu": 2}}})
    assert spec.resources.limits == {"cpu": "2"}
    assert spec.resources.requests == {}


def test_a_status_that_cannot_be_read_counts_as_empty():
    assert AgentDeployment.parse(body() | {"status": {"conditions": 3}}).status.conditions == ()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"replicas": -1}, "`spec.replicas` is wrong: input should be greater than or equal to 0"),
        ({"replica": 1}, "`spec.replica` is not a known field: remove it, or correct its name"),
        (
            node(uses="workflow", **{"with": {}}),
            f"`{NODE}.with.ref` is required: set it",
        ),
        (
            node(uses="model", next={"switch": [{"when": "x"}]}),
            f"`{NODE}.next.switch[0].to` is required: set it; `{NODE}.next.else` is required: set it",
        ),
        (
            node(uses="model", next=3),
            f"`{NODE}.next` is wrong: write {SHAPES}",
        ),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"key": "k"}}}]},
         "`spec.env[0].valueFrom.secretKeyRef.name` is required: set it"),
    ],
)  # fmt: skip
def test_says_what_to_change(spec: dict[str, Any], message: str):
    with pytest.raises(InvalidSpec) as caught:
        AgentDeployment.parse(body(**spec))
    assert str(caught.value) == message


def test_a_missing_spec_is_an_invalid_one():
    with pytest.raises(InvalidSpec, match="spec"):
        AgentDeployment.parse({"metadata": METADATA, "spec": 3})


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({}, ""),
        ({"graph": "shop:graph"}, "graph"),
        ({"models": [{"name": "default", "provider": "scripted"}]}, "scripted"),
        ({"models": [{"name": "small", "model": "s"}, {"name": "default", "model": "d"}]}, "d"),
        ({"models": [{"name": "small", "model": "s"}]}, "s"),
    ],
)
def test_shown_model(spec: dict[str, Any], shown: str):
    assert AgentDeploymentSpec.model_validate(spec).shown_model == shown


def test_a_field_nested_too_deep_is_refused_whatever_its_depth():
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"a": deep}
    with pytest.raises(InvalidSpec, match=r"`spec.affinity` is nested deeper than 64 levels: make it flatter"):
        AgentDeployment.parse(body(affinity=deep))
