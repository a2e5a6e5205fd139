"""An operator whose token ends goes on with the one that its file holds by then."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import httpx
import yaml

from cluster.controlplane import ControlPlane
from integration.operators import HOME, agent, eventually, operator


class Account:
    """A ServiceAccount whose tokens end when the Secret that they are bound to is deleted."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self.kubectl("create", "serviceaccount", "operator")
        # It may do anything here: rights have tests of their own.
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "all"}}
        rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        self.kubectl("apply", "--filename=-", stdin=json.dumps(role | {"rules": rules}))
        self.kubectl("create", "rolebinding", "all", "--role=all", f"--serviceaccount={namespace}:operator")
        everything = ("--clusterrole=cluster-admin", f"--serviceaccount={namespace}:operator", f"--namespace={HOME}")
        plane.kubectl("create", "rolebinding", namespace, *everything)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.plane.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def token(self, bound_to: str) -> str:
        self.kubectl("create", "secret", "generic", bound_to)
        bound = ("--bound-object-kind=Secret", f"--bound-object-name={bound_to}")
        return self.kubectl("create", "token", "operator", *bound).strip()

    def kubeconfig(self, folder: Path, token_file: Path) -> Path:
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        config["users"][0]["user"] = {"tokenFile": str(token_file)}
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file

    def believed(self, token: str) -> bool:
        context = ssl.create_default_context(cafile=self.plane.pki.authority.pair.certificate)
        url = f"{self.plane.url}/api/v1/namespaces/{self.namespace}/configmaps"
        answer = httpx.get(url, verify=context, trust_env=False, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code == 200


def test_a_token_that_has_ended_is_replaced(control_plane: ControlPlane, namespace: str, tmp_path: Path):
    account = Account(control_plane, namespace)
    file = tmp_path / "token"
    first = account.token("first")
    file.write_text(first)
    with operator(
        account.kubeconfig(tmp_path, file), namespace, tmp_path / "log", APM_LEADER_ELECTION="true"
    ) as running:
        running.ready()
        file.write_text(account.token("second"))
        account.kubectl("delete", "secret", "first")
        eventually("the first token has ended", lambda: not account.believed(first))
        account.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(agent("one", namespace)))
        eventually("a Deployment", lambda: account.kubectl("get", "deployments", "--output=name"))
        running.idle()
        assert running.metric("apm_leader") == 1
        assert running.metric("apm_api_calls_total", code="401") == 0
