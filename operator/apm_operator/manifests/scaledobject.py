"""What KEDA is told: the agent's queue in MongoDB is its load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent_runtime.spec.scalars import seconds
from apm_operator.kinds import CONFIG_HASH, DEPLOYMENTS, SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS
from apm_operator.manifests import activator
from apm_operator.manifests.horizontalpodautoscaler import behavior
from apm_operator.manifests.pod import CONTAINER, KEDA_TLS

if TYPE_CHECKING:
    from agent_runtime.spec.state import MongoDBSpec
    from apm_operator.manifests.agent import Agent

REQUESTS = "metrics-api"
"""Type of the trigger that asks the activator."""
_POLL_SECONDS = 5
_NEVER_TWO = 1_000_000
"""What is due wants one pod; the run that it begins or goes on with counts as a run."""
_DUE = {"$not": [{"$gt": ["$due", "$$NOW"]}]}
"""Also where there is no time. DocumentDB, below FerretDB, fails with `$lte` where an index has the field."""
_EVER = {"$gt": {"$date": {"$numberLong": "0"}}}
"""Crons that are off have the year 1970, and interrupts without an end nothing."""


def authentication(agent: Agent) -> dict[str, Any] | None:
    """Where KEDA finds how to connect to MongoDB: in the Secrets that the agent's pods have it from."""
    mongodb = _mongodb(agent)
    if mongodb is None:
        return None
    refs = {"connectionString": mongodb.uri_secret_ref}
    spec: dict[str, Any] = {}
    if mongodb.tls is not None:
        refs["ca"] = mongodb.tls.ca_secret_ref
        if (own := mongodb.tls.client_certificate_secret_ref) is not None:
            refs |= {"cert": own, "key": own}  # it takes out of the text what each of them is
        # Whether to use TLS is no part of a trigger, and comes from where secrets do.
        spec["env"] = [{"parameter": "tls", "name": KEDA_TLS, "containerName": CONTAINER}]
    spec["secretTargetRef"] = [{"parameter": name, "name": ref.name, "key": ref.key} for name, ref in refs.items()]
    return agent.manifest(TRIGGER_AUTHENTICATIONS, agent.name, spec=spec)


def begin(agent: Agent) -> dict[str, Any] | None:
    """The same until a pod of this configuration has been ready: it writes new crons down, so it must not be ended."""
    wanted, steady = agent.spec.autoscaling, build(agent)
    if wanted is None or wanted.min_replicas or steady is None:
        return None
    del steady["metadata"]["labels"][CONFIG_HASH]
    steady["spec"]["minReplicaCount"] = 1
    return steady


def build(agent: Agent) -> dict[str, Any] | None:
    """What sets the number of pods, none included, where the cluster has KEDA and the spec a target for the queue."""
    wanted, mongodb = agent.spec.autoscaling, _mongodb(agent)
    if wanted is None or mongodb is None:
        return None
    depth = wanted.target_queue_depth or 1
    queues = [("runs", _runs(agent), depth), ("events", _events(agent), depth)]
    if not wanted.min_replicas:
        queues += [(name, query, _NEVER_TWO) for name, query in _timed(agent).items()]
    resources = [
        {"type": name, "metricType": "Utilization", "metadata": {"value": str(target)}}
        for name, target in wanted.resource_targets.items()
    ]
    made = agent.manifest(
        SCALED_OBJECTS,
        agent.name,
        spec={
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENTS.api_version,
                "kind": DEPLOYMENTS.kind,
                "name": agent.name,
            },
            "minReplicaCount": wanted.min_replicas,
            "maxReplicaCount": wanted.max_replicas,
            "pollingInterval": _POLL_SECONDS,
            "cooldownPeriod": int(seconds(wanted.scale_down_stabilization)),
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(wanted)}},
            "triggers": [_trigger(agent, mongodb, *queue) for queue in queues] + _requests(agent) + resources,
        },
    )
    made["metadata"]["labels"][CONFIG_HASH] = agent.config_hash
    return made


def _mongodb(agent: Agent) -> MongoDBSpec | None:
    """The MongoDB whose queue KEDA is to look at; None where it is not to."""
    wanted, state = agent.spec.autoscaling, agent.spec.state
    asked = wanted is not None and wanted.target_queue_depth is not None
    if not asked or state is None or not agent.spec.scales_itself or not agent.surroundings.keda:
        return None
    return state.mongodb


def _trigger(agent: Agent, mongodb: MongoDBSpec, collection: str, query: dict[str, Any], target: int) -> dict[str, Any]:
    return {
        "type": "mongodb",
        "name": collection,
        "metricType": "AverageValue",
        "metadata": {
            "dbName": mongodb.database,
            "collection": collection,
            "query": json.dumps(query),
            "queryValue": str(target),
        },
        "authenticationRef": {"name": agent.name},
    }


def _requests(agent: Agent) -> list[dict[str, Any]]:
    """Connections that wait for a pod, or that are open: they want one, however many they are."""
    if not agent.sleeps:
        return []
    metadata = activator.trigger_metadata(agent) | {"targetValue": str(_NEVER_TWO)}
    return [{"type": REQUESTS, "name": "requests", "metricType": "AverageValue", "metadata": metadata}]


def _runs(agent: Agent) -> dict[str, Any]:
    """Those that have not ended, without those that are put off; the same as the runtime's `state.mongo.runs`."""
    return {"agent": _key(agent), "status": {"$in": ["pending", "running"]}, "$expr": _DUE}


def _events(agent: Agent) -> dict[str, Any]:
    """Those that a subscription or a sink still has to get, and those that others have for an agent that may sleep."""
    own = {"agent": _key(agent), "open": True}
    wanted, senders = agent.spec.autoscaling, agent.surroundings.senders
    if wanted is None or wanted.min_replicas or not senders:
        return own
    return {"$or": [own, *({"agent": sender, "pending": f"sink/{name}"} for sender, name in senders)]}


def _timed(agent: Agent) -> dict[str, dict[str, Any]]:
    """By collection, what no pod is needed for until its time has come."""
    mine = {"agent": _key(agent), "due": _EVER, "$expr": _DUE}
    found = {"crons": mine, "interrupts": {**mine, "status": "open"}}
    # Where the spec allows none, no pod sends those that are left: they would keep one for ever.
    sends = agent.spec.runs is not None and agent.spec.runs.webhooks is not None
    return {**found, "webhooks": mine} if sends else found


def _key(agent: Agent) -> str:
    return f"{agent.namespace}/{agent.name}"
