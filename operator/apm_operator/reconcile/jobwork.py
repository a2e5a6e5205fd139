"""The work of Jobs as this operator runs them: its image, and the addresses that were found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apm_operator.manifests.backup import Work

if TYPE_CHECKING:
    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.api.backupjob import JobNetwork, JobPods
    from apm_operator.network import ClusterNetwork
    from apm_operator.queue import Key
    from apm_operator.reconcile.backupplan import Around
    from apm_operator.reconcile.plan import Images


def work(
    around: Around,
    images: Images,
    cluster: ClusterNetwork,
    *,
    owner: Key,
    uid: str,
    template: JobPods,
    network: JobNetwork,
    mounted: tuple[SecretKeyRef, ...],
    claim: str = "",
    leases: tuple[str, ...] = (),
    subject: Key | None = None,
) -> Work:
    """See `Work` for what these are."""
    return Work(
        owner=owner,
        uid=uid,
        subject=subject,
        template=template,
        network=network,
        image=images.image,
        pull_policy=images.pull_policy,
        claim=claim,
        mounted=mounted,
        leases=leases,
        targets=around.targets,
        api_server=around.api_server,
        cluster=cluster,
    )
