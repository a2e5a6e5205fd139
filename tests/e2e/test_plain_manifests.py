"""The install without Helm."""

from cluster.installation import Installation
from cluster.settings import REPOSITORY


def test_the_api_server_takes_the_plain_manifests(cluster: Installation) -> None:
    shown = cluster.kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "--force-conflicts",
        f"--filename={REPOSITORY / 'deploy/apm-operator.yaml'}",
    )
    assert "deployment.apps/apm-operator serverside-applied (server dry run)" in shown
