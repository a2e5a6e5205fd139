import concurrent.futures
import json

import pytest

from cluster.controlplane import ControlPlane, Options
from cluster.errors import ClusterError
from cluster.instances import control_plane as start_control_plane
from cluster.progress import wait_until

CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: %s}
"""


def test_reports_the_pinned_version(control_plane: ControlPlane):
    version = json.loads(control_plane.kubectl("get", "--raw", "/version"))
    assert version["gitVersion"] == "v1.34.4"


def test_a_deleted_namespace_goes_away(control_plane: ControlPlane, namespace: str):
    control_plane.kubectl("delete", "namespace", namespace, "--timeout=120s")
    with pytest.raises(ClusterError, match="NotFound"):
        control_plane.kubectl("get", "namespace", namespace)


def test_children_of_a_deleted_owner_are_collected(control_plane: ControlPlane, namespace: str):
    in_namespace = f"--namespace={namespace}"
    control_plane.kubectl("create", in_namespace, "-f", "-", stdin=CONFIG_MAP % "owner")
    uid = control_plane.kubectl("get", in_namespace, "configmap/owner", "--output=jsonpath={.metadata.uid}")
    reference = f"ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]"
    child = CONFIG_MAP.replace("}", f", {reference}}}") % "child"
    control_plane.kubectl("create", in_namespace, "-f", "-", stdin=child)
    control_plane.kubectl("delete", in_namespace, "configmap/owner")

    def collected() -> bool:
        left = control_plane.kubectl("get", in_namespace, "configmaps", "--output=name").split()
        return "configmap/child" not in left

    # In a young cluster the garbage collector stands still while it learns of new kinds, every half minute.
    wait_until("collection of the child", collected, seconds=120)


def test_pod_security_is_enforced(control_plane: ControlPlane, namespace: str):
    control_plane.kubectl(
        "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite"
    )
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        control_plane.kubectl("run", "bare", f"--namespace={namespace}", "--image=none.local/none")


@pytest.mark.parametrize("how", [{"kill": False}, {"kill": True}], ids=["stopped", "killed"])
def test_a_restarted_api_server_has_its_data_and_address(how: dict[str, bool]):
    with start_control_plane() as plane:
        plane.kubectl("create", "configmap", "kept")
        url = plane.url
        plane.restart_api_server(**how)
        assert plane.url == url
        assert plane.kubectl("get", "configmap/kept", "--output=name").strip() == "configmap/kept"


def test_control_planes_run_beside_one_another_and_leave_nothing():
    def use(_: int) -> ControlPlane:
        with start_control_plane() as plane:
            assert "default" in plane.kubectl("get", "namespaces")
            return plane

    with concurrent.futures.ThreadPoolExecutor() as pool:
        planes = list(pool.map(use, range(2)))
    assert len({plane.directory for plane in planes}) == 2
    for plane in planes:
        assert not plane.directory.exists()
        assert not plane.processes.names()


def test_the_audit_log_says_who_changed_what():
    with start_control_plane(Options(controllers=(), audit=True)) as plane:
        plane.kubectl("create", "configmap", "watched")
        entries = [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
    [entry] = [e for e in entries if e["objectRef"].get("name") == "watched" and e["verb"] == "create"]
    assert entry["user"]["username"] == "apm-admin"


def test_a_frozen_api_server_answers_nothing_until_it_goes_on():
    with start_control_plane(Options(controllers=())) as plane:
        plane.pause_api_server()
        with pytest.raises(ClusterError, match="kubectl"):
            plane.kubectl("get", "namespaces", "--request-timeout=1s")
        plane.resume_api_server()
        assert "default" in plane.kubectl("get", "namespaces")
