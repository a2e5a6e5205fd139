"""The operator has made use of each of its rights in this cluster, and was refused nothing that it should have."""

from collections.abc import Iterator

import pytest

from cluster import audit
from cluster.bare import Bare
from cluster.installation import Installation
from e2e.support.manifests import agent, mongodb
from e2e.support.space import Space
from e2e.support.waiting import until
from fakes import every_right

_GRANTABLE = [
    f"permissions.grantable[0].{field}={{{value}}}" for field, values in every_right.ASKED.items() for value in values
]


@pytest.fixture
def granting(cluster: Installation) -> Iterator[None]:
    """The operator may grant what the agents ask for; afterwards it is installed as it was found."""
    cluster.ensure_operator(*_GRANTABLE)
    yield
    cluster.ensure_operator()


@pytest.mark.usefixtures("granting")
def test_every_right_is_used_and_none_is_missing(space: Space, began: str) -> None:
    provider = space.cluster.cluster
    if not isinstance(provider, Bare):
        pytest.skip(f"the cluster's provider {provider.name} keeps no audit log")
    held = every_right.held(space.cluster.kubectl)

    every_right.use(space.kubectl, agent, mongodb())
    _replace_a_config(space)

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
    until("one config", lambda: space.names("configmap", "replaced"), lambda names: len(names) == 1, seconds=60)
