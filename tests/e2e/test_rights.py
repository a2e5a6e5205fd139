"""What an agent may do with its token, and what the operator has done with its rights."""

import base64
import json
from collections.abc import Iterator

import pytest

from cluster import audit
from cluster.bare import Bare
from cluster.installation import Installation
from e2e.support.backups import backup, own_database, policy, until_phase
from e2e.support.manifests import agent, mongodb
from e2e.support.space import Space
from e2e.support.waiting import until
from fakes import every_right

_GRANTABLE = [
    f"permissions.grantable[0].{field}={{{value}}}" for field, values in every_right.ASKED.items() for value in values
]


@pytest.fixture
def granting(cluster: Installation) -> Iterator[None]:
    """The operator may grant what the agents ask for, and has to find out where the API server is.

    Afterwards it is installed as it was found.
    """
    cluster.ensure_operator("network.apiServer.cidrs=null", *_GRANTABLE)
    yield
    cluster.ensure_operator()


# What an agent's own code would do: read the token, and call the API server with it.
_CALL = """
import json, os, pathlib, ssl, sys, urllib.error, urllib.request
folder = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
token, namespace = (folder / "token").read_text(), (folder / "namespace").read_text()
context = ssl.create_default_context(cafile=folder / "ca.crt")

def status(path, body=None):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        return urllib.request.urlopen(urllib.request.Request(server + path, data, headers), context=context).status
    except urllib.error.HTTPError as error:
        return error.code

event = {
    "metadata": {"name": "hello"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Speak", "reason": "Spoke",
    "note": "Hello", "type": "Normal", "reportingController": "example.com/agent", "reportingInstance": "one",
    "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": os.environ["POD_NAME"]},
}
print(json.dumps({
    "claims": token.split(".")[1],
    "create event": status(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", event),
    "list events": status(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"),
    "list secrets": status(f"/api/v1/namespaces/{namespace}/secrets"),
    "elsewhere": status("/apis/events.k8s.io/v1/namespaces/default/events", event),
}))
"""


@pytest.mark.usefixtures("granting")
def test_an_agent_may_do_what_it_was_granted_and_no_more(space: Space) -> None:
    space.apply(agent("herald", permissions=[every_right.ASKED]))
    space.ready("herald")
    (pod,) = space.pods("herald")

    shown = json.loads(space.kubectl("exec", pod["metadata"]["name"], "--", "python3", "-c", _CALL))

    claims = shown.pop("claims")
    read = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert read["sub"] == f"system:serviceaccount:{space.name}:herald"
    assert read["exp"] - read["iat"] == 600
    assert shown == {"create event": 201, "list events": 403, "list secrets": 403, "elsewhere": 403}


@pytest.mark.usefixtures("granting")
def test_every_right_is_used_and_none_is_missing(space: Space, began: str) -> None:
    provider = space.cluster.cluster
    if not isinstance(provider, Bare):
        pytest.skip(f"the cluster's provider {provider.name} keeps no audit log")
    held = every_right.held(space.cluster.kubectl) | every_right.AFTER_JOBS

    every_right.use(space.kubectl, agent, mongodb())
    _replace_a_config(space)
    _delete_backups(space)

    log = provider.plane.audit_log
    assert audit.unused(held, audit.read(log)) == set()
    # A namespace's Secrets are the operator's to read only where its administrator says so.
    refused = {call for call in audit.refused(audit.read(log, since=began)) if call.resource != "secrets"}
    assert refused == set()


def _replace_a_config(space: Space) -> None:
    """An older config goes when its last pod has."""
    space.apply(agent("replaced", reply="one"))
    space.ready("replaced")
    space.apply(agent("replaced", reply="two"))
    space.ready("replaced")
    until(
        "one config", lambda: every_right.configs(space.kubectl, "replaced"), lambda names: len(names) == 1, seconds=60
    )


def _delete_backups(space: Space) -> None:
    """A Backup that is deleted goes with its files; with its policy go all."""
    with own_database(space) as database:
        database["notes"].insert_one({"text": "hello"})
        space.apply(policy("deleting", database.name, deletionPolicy="Delete"))
        space.apply(backup("one", "deleting"), backup("two", "deleting"))
        for name in ("one", "two"):
            until_phase(space, "backup", name, "Completed", seconds=240)
        space.kubectl("delete", "backup/one", "--timeout=120s")
        space.kubectl("delete", "backuppolicy/deleting", "--timeout=120s")
        until("no Backup", lambda: space.get("backup", "two"), lambda found: not found, seconds=30)
