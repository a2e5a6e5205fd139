"""The pods run where Pod Security `restricted` is enforced, and have nothing that they do not need."""

import json

import pytest

from cluster.errors import ClusterError
from cluster.installation import AGENTS_NAMESPACE, OPERATOR_NAMESPACE
from e2e.support.manifests import agent
from e2e.support.operator import Operator
from e2e.support.space import Space

_LOOK = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "user": os.getuid(),
    "capabilities": int(status["CapEff"], 16),
    "no_new_privileges": int(status["NoNewPrivs"]),
    "seccomp": int(status["Seccomp"]),
    "root_read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
    "token": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"),
}))
"""
_HARDENED = {"user": 65532, "capabilities": 0, "no_new_privileges": 1, "seccomp": 2, "root_read_only": True}


def test_the_namespaces_enforce_it(space: Space) -> None:
    plain = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "plain"},
            "spec": {"containers": [{"name": "plain", "image": "plain"}]},
        }
    )
    for namespace in (space.name, OPERATOR_NAMESPACE, AGENTS_NAMESPACE):
        with pytest.raises(ClusterError, match="violates PodSecurity"):
            space.cluster.kubectl("create", "-f", "-", f"--namespace={namespace}", "--dry-run=server", stdin=plain)


def test_an_agent_has_no_rights_and_no_token(space: Space) -> None:
    space.apply(agent("modest"))
    space.ready("modest")
    (pod,) = space.pods("modest")
    shown = space.kubectl("exec", pod["metadata"]["name"], "--", "python3", "-c", _LOOK)
    assert json.loads(shown) == {**_HARDENED, "token": False}


def test_a_foreign_environment_changes_nothing(space: Space) -> None:
    foreign = {"PORT": "5432", "HOST": "db", "APM_CONFIG": "/nowhere", "APM_TRUST_DIR": "/mine", "APM_MAX_RUNS": "many"}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign"}, "data": foreign}
    space.apply(config_map, agent("steadfast", envFrom=[{"configMapRef": {"name": "foreign"}}]))
    space.ready("steadfast")


def test_the_operator_has_no_rights_on_its_node(space: Space) -> None:
    pod = Operator(space.cluster).wait_for_leader()
    shown = space.cluster.kubectl("exec", pod, f"--namespace={OPERATOR_NAMESPACE}", "--", "python3", "-c", _LOOK)
    assert json.loads(shown) == {**_HARDENED, "token": True}
