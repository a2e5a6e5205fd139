"""How backups are removed from where they lie: by a Job that needs neither MongoDB nor, if need be, their policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from apm_operator.api.backup import Location
from apm_operator.api.backupjob import JobNetwork, JobTemplate
from apm_operator.errors import InvalidSpec
from apm_operator.kinds import JOBS
from apm_operator.manifests import backup, backup_job, backup_networkpolicy
from apm_operator.manifests.agent import digest
from apm_operator.manifests.backup import Work
from apm_operator.queue import Key
from apm_operator.reconcile import backupspec, jobwork, leases
from apm_operator.reconcile.backupplan import as_applied, policy_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apm_operator.conditions import Verdict
    from apm_operator.network import ClusterNetwork
    from apm_operator.reconcile.backupplan import Looks
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.plan import Images, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What is to be removed.

    Attributes:
        policy: whose backups they are; it may be gone.
        names: of the backups; all where there are none, but those that are `kept`.
        orphaned: whether the policy is gone, and with it how its Jobs' pods are to run and whom they may talk to.
    """

    policy: Key
    place: Location
    names: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    template: JobTemplate = field(default_factory=JobTemplate)
    network: JobNetwork = field(default_factory=JobNetwork)
    orphaned: bool = False

    @classmethod
    def of(
        cls,
        policy: Key,
        owner: Entry | None,
        location: Mapping[str, Any],
        *,
        names: tuple[str, ...] = (),
        kept: tuple[str, ...] = (),
    ) -> Files:
        """Those at a location; the policy says how to get there, where it can be read.

        Raises:
            InvalidSpec: the location says nothing.
        """
        if not location:
            raise InvalidSpec("neither the policy nor the status says where it lies")
        try:
            spec = policy_spec(owner)
        except InvalidSpec:
            spec = None
        place = Location.model_validate(location)
        if spec is None:
            return cls(policy=policy, place=place, names=names, kept=kept, orphaned=True)
        return cls(policy=policy, place=place, names=names, kept=kept, template=spec.job, network=spec.network)

    def described(self) -> str:
        """What to remove by hand."""
        what = f"all that is called {self.names[0]}.*" if self.names else "all"
        what += f" but {', '.join(self.kept)}" if self.kept else ""
        storage, below = self.place.storage, backupspec.folder(self.place.storage, self.place.path or "")
        if storage.s3 is not None:
            return f"{what} below {below}/ in the bucket {storage.s3.bucket}"
        return f"{what} in the folder {below} of the claim {backupspec.claim_name(storage, self.policy.name)}"


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """The Job of one removal, and what that needs.

    Attributes:
        missing: what is wrong with its Secrets; None where nothing is.
    """

    work: Work
    job: dict[str, Any]
    missing: Verdict | None

    @property
    def name(self) -> str:
        """The Job's."""
        return self.work.name

    def children(self, uid: str) -> tuple[Manifest, ...]:
        """What belongs to the Job with this uid, and so outlives what is removed."""
        work = replace(self.work, uid=uid)
        made = (
            backup.service_account(work),
            backup.role(work),
            backup.role_binding(work),
            backup_networkpolicy.build(work),
        )
        return tuple(as_applied(each) for each in made)


@dataclass(frozen=True, slots=True)
class RemovalPlans:
    """Makes the plans of removals."""

    looks: Looks
    cluster: ClusterNetwork
    images: Images

    async def look(self, key: Key, uid: str, files: Files) -> RemovalPlan:
        """The plan for a Backup or policy that is being deleted.

        Raises:
            InvalidSpec: no Job may run in its namespace.
            ApiError: something could not be read for a reason that may pass.
        """
        storage = files.place.storage
        claim = backupspec.claim_name(storage, files.policy.name)
        mounted = backupspec.mounted(storage, None)
        around = await self.looks.look(key, mounted, (), backupspec.endpoints(storage), files.network)
        locks = (leases.of_storage(backupspec.location(storage, claim, files.place.path or "")),)
        work = jobwork.work(
            around,
            self.images,
            self.cluster,
            owner=Key(key.namespace, job_name(key, uid), JOBS.kind),
            uid="",
            subject=key,
            template=files.template,
            network=files.network,
            claim=claim,
            mounted=mounted,
            leases=locks,
        )
        told = backupspec.remove_job(
            files.policy, files.place, files.template, locks, names=files.names, kept=files.kept
        )
        return RemovalPlan(work, backup_job.removal(work, told), around.missing)

    def release(self, key: Key) -> None:
        """The object is gone."""
        self.looks.release(key)


def job_name(key: Key, uid: str) -> str:
    """Of the Job that removes what belongs to an object: like that of no other object, nor of a Backup."""
    return f"{key.name[:40]}-remove-{digest(uid.encode())}"
