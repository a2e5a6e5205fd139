"""A run that waits for a person, while every pod of its agent is replaced."""

import httpx

from e2e.support.manifests import example, secret
from e2e.support.space import Space
from e2e.support.waiting import until

_VISITOR, _MANAGER = "a-visitor-and-the-long-key", "a-manager-and-the-long-key"
_RUN = {"assistant_id": "agent", "input": {"order": "4711", "amount": 119.5}, "if_not_exists": "create"}


def test_the_answer_ends_the_run_at_pods_that_never_saw_the_question(space: Space) -> None:
    space.apply(secret("callers", visitor=_VISITOR, manager=_MANAGER))
    manifest = example("refund-approval")
    manifest["spec"]["auth"] = {"apiKeys": {"secretRef": {"name": "callers"}}}
    space.apply(manifest)
    space.ready("refund-approval")
    before = {pod["metadata"]["uid"] for pod in space.pods("refund-approval")}
    with space.http("refund-approval") as http:
        waiting = http.post("/threads/t1/runs/wait", json=_RUN, headers={"X-Api-Key": _VISITOR}).json()
        assert waiting["__interrupt__"][0]["value"]["ask"] == "Refund 119.5 for order 4711?"

    space.kubectl("delete", "pods", "-l=apm.valeo-neuroerp.com/agent=refund-approval", "--wait=true", "--timeout=90s")
    until("new pods", lambda: space.pods("refund-approval"), lambda pods: len(pods) == len(before), seconds=60)
    space.ready("refund-approval")
    assert not before & {pod["metadata"]["uid"] for pod in space.pods("refund-approval")}

    with space.http("refund-approval") as http:
        (asked,) = _of(http, _MANAGER).json()["approvals"]
        assert asked["ask"] == "Refund 119.5 for order 4711?"
        assert "t1" not in str(asked)
        assert http.get("/threads/t1/state", headers={"X-Api-Key": _MANAGER}).status_code == 404
        accepted = http.post(
            f"/approvals/{asked['id']}", json={"answer": {"choice": "approve"}}, headers={"X-Api-Key": _MANAGER}
        )
        assert accepted.status_code == 202
        state = until(
            "the run's end",
            lambda: http.get("/threads/t1/state", headers={"X-Api-Key": _VISITOR}).json(),
            lambda state: not state["next"],
            seconds=30,
        )
        assert state["values"]["messages"][-1]["content"] == "Your refund for order 4711 is on its way."
        assert _of(http, _MANAGER).json()["approvals"] == []
        again = http.post(f"/approvals/{asked['id']}", json={"answer": "approve"}, headers={"X-Api-Key": _MANAGER})
        assert again.status_code == 409


def _of(http: httpx.Client, key: str) -> httpx.Response:
    return http.get("/approvals", headers={"X-Api-Key": key})
