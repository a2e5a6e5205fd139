"""From `kubectl apply` to an agent that answers."""

import time

from e2e.support.manifests import agent
from e2e.support.space import Space, say

_DEADLINE = 30.0


def test_an_agent_is_ready_soon_after_it_was_applied(space: Space, record_property) -> None:
    began = time.monotonic()
    space.apply(agent("quick"))
    space.kubectl("wait", "--for=condition=Ready", "agentdeployment/quick", f"--timeout={_DEADLINE:.0f}s")
    took = time.monotonic() - began
    print(f"from apply to Ready: {took:.1f} s")  # noqa: T201
    record_property("apply_to_ready_seconds", round(took, 1))
    assert took < _DEADLINE
    with space.client("quick") as client:
        assert say(client, None, "Hello") == "You said: Hello"
    found = space.get("agentdeployment", "quick")["status"]
    assert found["url"] == f"https://quick.{space.name}.svc:8443"
    assert found["readyReplicas"] == 1
    assert "answer" in found["workflow"]
