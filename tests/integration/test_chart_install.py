"""The chart, the plain manifests and the examples on a real API server."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator

import pytest
import yaml

from cluster import crds, gobuild
from cluster.controlplane import ControlPlane
from cluster.errors import ClusterError
from cluster.instances import control_plane as start_control_plane
from cluster.progress import wait_until
from cluster.settings import REPOSITORY

CHART = REPOSITORY / "charts" / "apm-operator"
GROUP = "apm.valeo-neuroerp.com"
LEASES = "coordination.k8s.io"
DEFINITION = f"crd/agentdeployments.{GROUP}"

Helm = Callable[..., str]


def helm_on(plane: ControlPlane) -> Helm:
    """Runs Helm against a control plane; a failure is an error with what Helm said."""
    program = str(gobuild.program("helm"))

    def run(*arguments: str) -> str:
        command = [program, "--kubeconfig", str(plane.kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def release(control_plane: ControlPlane) -> Iterator[tuple[Helm, str]]:
    """Helm, and a namespace for a release that is uninstalled at the end."""
    helm, namespace = helm_on(control_plane), f"apm-{secrets.token_hex(3)}"
    control_plane.kubectl("create", "namespace", namespace)
    yield helm, namespace
    helm("uninstall", namespace, "--namespace", namespace, "--ignore-not-found")
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


def test_definitions_come_with_the_chart_and_stay_when_it_goes():
    with start_control_plane() as plane:
        helm = helm_on(plane)
        helm("install", "apm", str(CHART), "--namespace", "apm-system", "--create-namespace")
        assert plane.kubectl("get", DEFINITION, "--output=name")
        helm("upgrade", "apm", str(CHART), "--namespace", "apm-system", "--set", "replicas=2")
        helm("uninstall", "apm", "--namespace", "apm-system")
        assert plane.kubectl("get", DEFINITION, "--output=name")
        assert_gone(plane, "deployment/apm-operator", "--namespace=apm-system")
        helm("install", "apm", str(CHART), "--namespace", "apm-system", "--set", "crds.keep=false")
        crds.wait_until_listed(plane)
        helm("uninstall", "apm", "--namespace", "apm-system", "--wait")
        assert_gone(plane, DEFINITION)


def test_plain_manifests_install(control_plane):
    control_plane.kubectl("apply", "--server-side", "--dry-run=server", f"--filename={REPOSITORY / 'crds'}")
    # The namespace has to be there for a dry run of what lies in it.
    control_plane.kubectl("create", "namespace", "apm-system")
    control_plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", f"--filename={REPOSITORY / 'deploy'}"
    )


def test_rights_of_an_operator_of_the_whole_cluster(control_plane, release, namespace):
    helm, home = release
    values = f"crds.enabled=false,rbac.aggregate=false,secrets.namespaces={{{namespace}}}"
    helm("install", home, str(CHART), "--namespace", home, "--set", values)
    may = rights(control_plane, home)
    has(may, "create", "apps", "deployments", "default")
    has(may, "patch", GROUP, "agentdeployments", "default", subresource="status")
    has(may, "get", "", "secrets", namespace)
    has(may, "patch", "", "secrets", namespace)
    has(may, "update", LEASES, "leases", home, name=f"{home}-apm-operator")
    assert not may("get", "", "secrets", "default")
    assert not may("patch", "", "secrets", "default")
    assert not may("list", "", "secrets", namespace)
    assert not may("patch", GROUP, "agentdeployments", "default")
    assert not may("create", "", "pods", "default")
    assert not may("list", LEASES, "leases", "default")


def test_rights_of_an_operator_of_one_namespace(control_plane, release, namespace):
    helm, home = release
    values = f"crds.enabled=false,rbac.aggregate=false,watchNamespaces={{{namespace}}}"
    helm("install", home, str(CHART), "--namespace", home, "--set", values)
    may = rights(control_plane, home)
    has(may, "create", "apps", "deployments", namespace)
    has(may, "get", "", "secrets", namespace)
    has(may, "update", LEASES, "leases", home, name=f"{home}-apm-operator")
    assert not may("update", LEASES, "leases", home, name="another")
    for other in ("default", home):
        assert not may("patch", LEASES, "leases", other, name="another")
        assert not may("create", "apps", "deployments", other)
        assert not may("list", GROUP, "agentdeployments", other)
        assert not may("get", "", "secrets", other)


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("replicas=2", "secrets.namespaces={default}", "imagePullSecrets[0].name=registry"),
        ("watchNamespaces={default,kube-public}", "replicas=3", "tests.namespace=kube-public"),
        ("crds.keep=false", "tests.enabled=false", "rbac.aggregate=false", "leaderElection=false"),
        ("image.digest=sha256:" + "0" * 64, "priorityClassName=system-node-critical", "nodeSelector.disk=ssd"),
        ("tolerations[0].operator=Exists", "podAnnotations.note=yes", "podLabels.team=platform"),
        (
            "agentNamespaces[0].name=default",
            "agentNamespaces[0].defaultDeny=true",
            "agentNamespaces[0].limitRange.default.memory=512Mi",
            "agentNamespaces[0].limitRange.max.memory=2Gi",
            "agentNamespaces[0].resourceQuota.pods=50",
            "agentNamespaces[1].name=agents",
            "agentNamespaces[1].create=true",
            "network.dns.cidrs={10.0.0.10/32}",
            "network.apiServer.cidrs={192.0.2.1/32}",
            "network.scraper.namespaceSelector.matchLabels.team=monitoring",
        ),
    ],
    ids=lambda values: values[0].partition("=")[0] if values else "defaults",
)
def test_the_api_server_knows_every_field(control_plane, values):
    sets = [argument for value in values for argument in ("--set", value)]
    chart = helm_on(control_plane)(
        "template", "apm", str(CHART), "--namespace", "default", "--set", "crds.enabled=false", *sets
    )
    items = [item for item in yaml.safe_load_all(chart) if item]
    for item in items:
        if item["kind"] == "Pod":
            # A dry run makes no ServiceAccount, and a Pod's has to be there.
            item["spec"]["serviceAccountName"] = "default"
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    control_plane.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=stdin)


EXAMPLES = [
    file for file in sorted((REPOSITORY / "examples").rglob("*.yaml")) if "kind: AgentDeployment" in file.read_text()
]


@pytest.fixture(scope="module")
def demo_namespace(control_plane: ControlPlane) -> str:
    """The namespace that the demo's examples name."""
    control_plane.kubectl("create", "namespace", "valeo-neuroerp")
    return "valeo-neuroerp"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_api_server_accepts_the_example(control_plane, demo_namespace, file):
    made = control_plane.kubectl(
        "create",
        f"--namespace={demo_namespace}",
        "--dry-run=server",
        "--validate=strict",
        "--output=json",
        f"--filename={file}",
    )
    assert json.loads(made)["kind"] == "AgentDeployment"


def rights(plane: ControlPlane, home: str) -> Callable[..., bool]:
    """Whether the operator installed in `home` may do something in a namespace, as the API server's authorizer says."""

    def may(verb: str, group: str, resource: str, namespace: str, *, subresource: str = "", name: str = "") -> bool:
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        attributes |= {"subresource": subresource, "name": name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{home}:{home}-apm-operator",
                "resourceAttributes": attributes,
            },
        }
        answer = plane.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"]["allowed"])

    return may


def has(may: Callable[..., bool], verb: str, group: str, resource: str, namespace: str, **more: str) -> None:
    """It may: the authorizer learns of new roles by a watch, some time after Helm is done."""
    wait_until(f"the right to {verb} {resource}", lambda: may(verb, group, resource, namespace, **more), seconds=30)


def assert_gone(plane: ControlPlane, *what: str) -> None:
    """There is no such object."""
    with pytest.raises(ClusterError, match="NotFound"):
        plane.kubectl("get", *what)
