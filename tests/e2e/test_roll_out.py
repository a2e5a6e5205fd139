"""Changes reach the pods, and those who use the agent do not notice."""

from e2e.support.manifests import agent, mongodb, secret
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.traffic import traffic, wait_for_answers
from e2e.support.waiting import until


def test_a_change_of_the_spec_fails_no_request(space: Space) -> None:
    def version(number: int) -> dict[str, object]:
        return agent("busy", reply=f"version {number}", replicas=2, state=mongodb())

    space.apply(version(1))
    space.ready("busy")
    with traffic(space, "busy", Operator(space.cluster).runtime_image()) as report:
        wait_for_answers(space, 10)
        space.apply(version(2))
        space.ready("busy", seconds=150)
        wait_for_answers(space, 10)
    assert report.errors == []
    assert set(report.answers) == {"version 1", "version 2"}


def test_a_roll_out_under_load_fails_no_call_and_loses_no_run(space: Space) -> None:
    def version(number: int) -> dict[str, object]:
        # Three nodes that take a second together, so that pods end in the middle of runs.
        reply = {"reply": f"version {number}", "delay": "350ms"}
        nodes = [{"name": f"n{at}", "uses": "model", "next": f"n{at + 1}"} for at in range(3)]
        nodes[-1]["next"] = "end"
        return agent(
            "busy",
            models=[{"name": "default", "provider": "scripted", "script": [reply]}],
            workflow={"start": "n0", "nodes": nodes},
            replicas=2,
            state=mongodb(),
        )

    space.apply(version(1))
    space.ready("busy")
    ways = ("wait", "stream", "background")
    with traffic(space, "busy", Operator(space.cluster).runtime_image(), ways) as report:
        for number in (2, 3):
            wait_for_answers(space, 10)
            space.apply(version(number))
            space.ready("busy", seconds=150)
        wait_for_answers(space, 20)
    assert report.errors == []
    assert set(report.answers) == {"version 1", "version 2", "version 3"}
    assert set(report.ways) == set(ways)


def test_only_the_newest_config_is_kept(space: Space) -> None:
    space.apply(agent("tidy", reply="one"))
    space.ready("tidy")
    first = space.names("configmaps", "tidy")
    assert len(first) == 2
    space.apply(agent("tidy", reply="two"))
    space.ready("tidy")
    wanted = sorted((f"tidy-{space.get('agentdeployment', 'tidy')['status']['configHash']}", "tidy-trust"))
    assert wanted != first
    until("pruning", lambda: space.names("configmaps", "tidy"), lambda names: names == wanted, seconds=90)


def test_the_rotation_of_a_secret_rolls_the_pods(space: Space) -> None:
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "main"}}}
    space.apply(secret("tokens", main="first"), agent("keyed", env=[token]))
    space.ready("keyed")
    (before,) = space.pods("keyed")

    space.apply(secret("tokens", main="second"))

    def replaced() -> list[str]:
        return [pod["metadata"]["name"] for pod in space.pods("keyed")]

    until(
        "a new pod only",
        replaced,
        lambda names: len(names) == 1 and names[0] != before["metadata"]["name"],
        seconds=90,
    )
    space.ready("keyed")
    (name,) = replaced()
    assert space.kubectl("exec", name, "--", "printenv", "TOKEN").strip() == "second"


def test_scaling_by_kubectl_makes_pods_and_a_disruption_budget(space: Space) -> None:
    space.apply(agent("elastic", state=mongodb()))
    space.ready("elastic")
    assert space.names("poddisruptionbudgets", "elastic") == []

    space.kubectl("scale", "agentdeployment/elastic", "--replicas=3")
    space.ready("elastic")
    status = space.get("agentdeployment", "elastic")["status"]
    assert (status["replicas"], status["readyReplicas"]) == (3, 3)
    assert space.names("poddisruptionbudgets", "elastic") == ["elastic"]

    space.kubectl("scale", "agentdeployment/elastic", "--replicas=1")
    space.ready("elastic")
    until("one pod", lambda: len(space.pods("elastic")), lambda count: count == 1, seconds=60)
    space.until_gone("poddisruptionbudgets", "elastic")


def test_what_is_changed_or_removed_by_hand_is_put_right(space: Space) -> None:
    space.apply(agent("steady"))
    space.ready("steady")
    service = space.get("service", "steady")["metadata"]["uid"]

    space.kubectl("delete", "service", "steady")
    made = until(
        "a new Service",
        lambda: space.get("service", "steady"),
        lambda found: found and found["metadata"]["uid"] != service,
        seconds=30,
    )
    assert made["spec"]["ports"][0]["port"] == 8443

    space.kubectl("patch", "deployment", "steady", "--type=merge", '--patch={"spec": {"replicas": 0}}')
    until(
        "the wanted replicas",
        lambda: space.get("deployment", "steady")["spec"]["replicas"],
        lambda replicas: replicas == 1,
        seconds=30,
    )
    space.ready("steady")
