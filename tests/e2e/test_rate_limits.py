"""Replicas of an agent that count in one Redis, which their NetworkPolicy lets them reach."""

import json

from cluster import redispod
from e2e.support.manifests import agent, mongodb
from e2e.support.space import Space

_ALLOWED = 6
# Asks the pod that it runs in, more often than all pods together allow.
_ASK = f"""
import json, urllib.error, urllib.request
turn = {{"assistant_id": "agent", "input": {{"messages": [{{"role": "user", "content": "hi"}}]}}}}
request = urllib.request.Request(
    "http://127.0.0.1:8080/runs/wait", json.dumps(turn).encode(), {{"content-type": "application/json"}})
codes = []
for _ in range({_ALLOWED}):
    try:
        codes.append(urllib.request.urlopen(request).status)
    except urllib.error.HTTPError as error:
        codes.append(error.code)
metrics = urllib.request.urlopen("http://127.0.0.1:8080/metrics").read().decode()
print(json.dumps({{"codes": codes, "redis": "apm_agent_redis_up 1.0" in metrics}}))
"""


def test_pods_together_accept_what_is_allowed(space: Space) -> None:
    host = redispod.ensure(space.cluster.cluster, space.name)
    space.apply(
        agent(
            "host",
            replicas=2,
            state=mongodb(),
            auth={"anonymous": True},
            tls={"mode": "Disabled"},
            rateLimits={"requestsPerMinute": 1000, "requestsPerHour": _ALLOWED, "burst": 1000},
            redis={"host": host, "passwordSecretRef": {"name": redispod.SECRET, "key": "password"}},
        )
    )
    space.ready("host")
    pods = [pod["metadata"]["name"] for pod in space.pods("host")]
    assert len(pods) == 2
    answers = [json.loads(space.kubectl("exec", pod, "--", "python3", "-c", _ASK).splitlines()[-1]) for pod in pods]
    assert [answer["redis"] for answer in answers] == [True, True]
    assert sorted(code for answer in answers for code in answer["codes"]) == [200] * _ALLOWED + [429] * _ALLOWED
