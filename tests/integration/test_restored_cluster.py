"""etcd is restored from a backup under a running operator: what the operator has learnt since is wrong from then on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cluster import crds
from cluster.controlplane import ControlPlane
from cluster.instances import control_plane
from integration.operators import agent, eventually, operator

NAMESPACE = "shop"
IN_SHOP = f"--namespace={NAMESPACE}"


def write(plane: ControlPlane, name: str, **spec: object) -> None:
    manifest = json.dumps(agent(name, NAMESPACE, **spec))
    plane.kubectl("apply", "--server-side", "--filename=-", stdin=manifest)


def deployed(plane: ControlPlane, *wanted: str) -> bool:
    """Whether there are these Deployments; others may wait for the garbage collector, which was cut off as well."""
    path = r"{range .items[*]}{.metadata.name}={.spec.template.spec.priorityClassName}{'\n'}{end}"
    found = plane.kubectl("get", "deployments", IN_SHOP, f"--output=jsonpath={path}").split()
    return set(wanted) <= set(found)


def copy(plane: ControlPlane, source: Path, target: Path) -> None:
    """Copy etcd's data to or from a backup, while nothing runs."""
    plane.stop_api_server(kill=True)
    plane.processes.stop("etcd", kill=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    plane.start()


@pytest.mark.parametrize("election", ["true", "false"])
def test_the_operator_learns_anew_what_there_is(tmp_path: Path, election: str):
    backup = tmp_path / "backup"
    settings = {"APM_LEADER_ELECTION": election, "APM_RESYNC_SECONDS": "2"}
    with control_plane() as plane:
        etcd = plane.directory / "etcd"
        crds.install(plane)
        plane.kubectl("create", "namespace", NAMESPACE)
        with operator(plane.kubeconfig, NAMESPACE, tmp_path / "first", **settings) as first:
            first.ready()
            write(plane, "deleted")
            write(plane, "edited", priorityClassName="before")
            eventually("two agents", lambda: deployed(plane, "deleted=", "edited=before"))
            first.idle()
            first.end()
        copy(plane, etcd, backup)
        with operator(plane.kubeconfig, NAMESPACE, tmp_path / "second", **settings) as second:
            second.ready()
            plane.kubectl("delete", "agent", "deleted", IN_SHOP)
            write(plane, "edited", priorityClassName="after")
            write(plane, "made")
            eventually("the changes", lambda: deployed(plane, "edited=after", "made="))
            copy(plane, backup, etcd)
            assert second.process.wait(60) == 1
            said = [line["event"] for line in second.lines() if line["level"] == "error"]
        # With an election, losing the lease while the API server was away is as good a reason.
        assert said[-1].startswith(("This process ends", "Another process may lead now"))
        with operator(plane.kubeconfig, NAMESPACE, tmp_path / "third", **settings) as third:
            third.ready()
            eventually("what the backup has", lambda: deployed(plane, "deleted=", "edited=before"))
            write(plane, "edited", priorityClassName="again")
            eventually("work goes on", lambda: deployed(plane, "deleted=", "edited=again"))
            assert third.answers("/livez")
