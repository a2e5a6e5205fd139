"""What Prometheus reads of agents."""

from apm_operator import metrics
from apm_operator.reconcile import agentmetrics
from unit.apm_operator.world import STATE, World


def read(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, {"namespace": "shop", "agent": "one"} | labels)


async def test_an_agent_has_its_reason_and_its_pods(world: World):
    world.write()
    agentmetrics.export(world.cache)
    assert read("apm_agent_ready", reason="New") == 0
    await world.reconcile()
    world.change("Deployment", status={"observedGeneration": 1, "replicas": 1, "readyReplicas": 0})
    await world.reconcile()
    agentmetrics.export(world.cache)
    assert read("apm_agent_ready", reason="RollingOut") == 0
    assert (read("apm_agent_replicas"), read("apm_agent_replicas_ready")) == (1, 0)

    world.rolled_out()
    await world.reconcile()
    agentmetrics.export(world.cache)
    assert read("apm_agent_ready", reason="Ready") == 1
    assert read("apm_agent_ready", reason="RollingOut") is None
    assert (read("apm_agent_replicas"), read("apm_agent_replicas_ready")) == (1, 1)
    assert read("apm_agent_pod_restarts") == 0
    assert metrics.REGISTRY.get_sample_value("apm_agents", {"reason": "Ready"}) == 1


async def test_an_agent_that_is_to_be_scaled_tells_whether_it_is(world: World):
    world.secret("mongodb://x")
    world.write(state=STATE, autoscaling={"maxReplicas": 8, "targetCPUUtilizationPercentage": 70})
    await world.reconcile()
    agentmetrics.export(world.cache)
    assert read("apm_agent_autoscaling_active", reason="Pending") == 0
    for status, reason, value in (("False", "FailedGetResourceMetric", 0), ("True", "Active", 1)):
        active = {"type": "ScalingActive", "status": status, "reason": reason}
        world.change("HorizontalPodAutoscaler", status={"conditions": [active]})
        await world.reconcile()
        agentmetrics.export(world.cache)
        assert told() == {reason: value}

    world.write(state=STATE)
    await world.reconcile()
    agentmetrics.export(world.cache)
    assert told() == {}


def told() -> dict[str, float]:
    """Whether it is scaled, by reason."""
    (family,) = metrics.AGENT_AUTOSCALING.collect()
    return {sample.labels["reason"]: sample.value for sample in family.samples}
