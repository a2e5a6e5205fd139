import pytest

from apm_operator.reconcile.facts import DeploymentFacts, PodFacts, tidy


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mongodb://user:pass@host:27017/ failed", "mongodb://***@host:27017/ failed"),
        ("mongodb://user:p/a@ss@host/ is no URI", "mongodb://***@host/ is no URI"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("api_key=topsecret next", "api_key=*** next"),
        ('{"password": "hunter2"}', '{"password": "***"}'),
        ("key sk-abcdefghijkl is wrong", "key *** is wrong"),
        ("nothing secret here", "nothing secret here"),
    ],
)
def test_what_looks_like_a_secret_is_struck_out(text: str, told: str):
    assert tidy(text) == told


def test_a_long_message_is_cut_to_its_end():
    text = "\n".join(f"line {number}" for number in range(100))
    assert tidy(text) == "line 95 | line 96 | line 97 | line 98 | line 99"
    assert len(tidy("x" * 5000)) == 600


def deployment(**status: object) -> dict[str, object]:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}


def test_a_deployment_is_done_when_all_replicas_are_new_and_available():
    counts = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    assert DeploymentFacts.read(deployment(observedGeneration=2, **counts)).done
    assert not DeploymentFacts.read(deployment(observedGeneration=1, **counts)).done
    assert not DeploymentFacts.read(deployment(observedGeneration=2, **counts | {"replicas": 3})).done
    assert not DeploymentFacts.read(deployment(observedGeneration=2, **counts | {"availableReplicas": 1})).done


def test_a_failure_counts_only_while_it_is_true():
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert DeploymentFacts.read(deployment(conditions=[condition])).failure == "exceeded quota"
    assert DeploymentFacts.read(deployment(conditions=[condition | {"status": "False"}])).failure == ""


def test_a_crashed_pod_tells_its_last_words():
    pod = PodFacts.read(
        {
            "metadata": {"resourceVersion": "1", "annotations": {"apm.valeo-neuroerp.com/config-hash": "abc"}},
            "spec": {"containers": [{"name": "agent", "image": "img:1"}]},
            "status": {
                "containerStatuses": [
                    {
                        "name": "agent",
                        "restartCount": 3,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no module named x"}},
                    }
                ]
            },
        }
    )
    assert (pod.waiting, pod.restarts, pod.exit_code, pod.exit_message) == (
        "CrashLoopBackOff",
        3,
        1,
        "no module named x",
    )
    assert (pod.config, pod.image) == ("abc", "img:1")


def test_a_new_version_alone_is_no_difference():
    body = {"metadata": {"resourceVersion": "1"}, "spec": {"containers": []}}
    newer = {"metadata": {"resourceVersion": "2"}, "spec": {"containers": []}}
    leaving = {"metadata": {"resourceVersion": "2", "deletionTimestamp": "now"}, "spec": {"containers": []}}
    assert not PodFacts.read(body).differs(PodFacts.read(newer))
    assert PodFacts.read(body).differs(PodFacts.read(leaving))
