"""What a Restore is to do: which backup, out of which storage, into which MongoDB."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apm_operator.api.backup import Location
from apm_operator.api.backupjob import JobNetwork, JobTemplate
from apm_operator.api.restore import RestoreSpec
from apm_operator.errors import InvalidSpec
from apm_operator.kinds import BACKUPS
from apm_operator.manifests import backup, backup_job, backup_networkpolicy
from apm_operator.queue import Key
from apm_operator.reconcile import backupspec, jobwork, leases
from apm_operator.reconcile.backupplan import as_applied, closed, parse, policy_spec
from apm_operator.reconcile.belonging import policy_of

if TYPE_CHECKING:
    from apm_operator.api.backupjob import MongoDBServer
    from apm_operator.api.backuppolicy import BackupPolicySpec
    from apm_operator.conditions import Verdict
    from apm_operator.network import ClusterNetwork
    from apm_operator.reconcile.backupplan import Looks
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.plan import Images, Manifest


class SourceMissing(InvalidSpec):
    """The backup that is to be restored is not there, or can't be restored from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """What follows from a Restore's spec.

    Attributes:
        stored: name of the backup in the storage; None: the newest verified one.
        missing: what is wrong with its Secrets; None where nothing is.
        closed: what its Job's network policy does not open; None where there is nothing.
    """

    spec: RestoreSpec
    stored: str | None
    leases: tuple[str, ...]
    manifests: tuple[Manifest, ...]
    job: dict[str, Any]
    missing: Verdict | None
    closed: Verdict | None


@dataclass(frozen=True, slots=True)
class _Source:
    place: Location
    name: str | None
    server: MongoDBServer
    policy: BackupPolicySpec | None = None


@dataclass(frozen=True, slots=True)
class RestorePlans:
    """Makes the plans of Restores."""

    looks: Looks
    cache: Cache
    cluster: ClusterNetwork
    images: Images

    async def look(self, key: Key, entry: Entry) -> RestorePlan:
        """The plan.

        Raises:
            SourceMissing: what it names is not there.
            InvalidSpec: the spec breaks a rule that the CRD does not enforce.
            ApiError: something could not be read for a reason that may pass.
        """
        if entry.agent is None:
            raise InvalidSpec("the Restore is gone")
        spec = parse(RestoreSpec, entry.agent.body)
        source = self._source(key, spec)
        spec = _as_its_policy(spec, source.policy)
        storage = source.place.storage
        claim = backupspec.claim_name(storage, key.name)
        mounted = backupspec.mounted(storage, source.place.encryption, source.server)
        around = await self.looks.look(key, mounted, (source.server,), backupspec.endpoints(storage), spec.network)
        place = backupspec.location(storage, claim, source.place.path or "")
        names = tuple(sorted((around.database, leases.of_storage(place))))
        work = jobwork.work(
            around,
            self.images,
            self.cluster,
            owner=key,
            uid=entry.agent.uid,
            template=spec.job,
            network=spec.network,
            claim=claim,
            mounted=mounted,
            leases=names,
        )
        told = backupspec.restore_job(
            spec, key, entry.agent.uid, server=source.server, place=source.place, name=source.name, leases=names
        )
        children = (
            backup.service_account(work),
            backup.role(work),
            backup.role_binding(work),
            backup_networkpolicy.build(work),
        )
        return RestorePlan(
            spec=spec,
            stored=source.name,
            leases=names,
            manifests=tuple(as_applied(child) for child in children),
            job=backup_job.single(work, key.name, told),
            missing=around.missing,
            closed=closed(around.unknown),
        )

    def release(self, key: Key) -> None:
        """The Restore is gone, or has ended."""
        self.looks.release(key)

    def _source(self, key: Key, spec: RestoreSpec) -> _Source:
        target, location = spec.target.mongodb, spec.from_.location
        if location is not None:
            if target is None:
                raise InvalidSpec("set `spec.target.mongodb`: a location does not say which MongoDB its backups are of")
            if location.storage.persistent_volume_claim and not location.storage.persistent_volume_claim.claim_name:
                raise InvalidSpec("set `spec.from.location.storage.persistentVolumeClaim.claimName`")
            return _Source(location, location.name, target)
        name = spec.from_.backup_ref.name if spec.from_.backup_ref is not None else ""
        found = self.cache.get(Key(key.namespace, name, BACKUPS.kind))
        if found is None or found.agent is None:
            raise SourceMissing(f"There is no Backup {name} in the namespace {key.namespace}.")
        status = found.agent.status
        if status.get("phase") != "Completed" or not status.get("location"):
            raise SourceMissing(
                f"Backup {name} is {status.get('phase') or 'Pending'}: only one that is Completed can be restored."
            )
        policy = self.cache.get(policy_of(key.namespace, json.loads(found.agent.body)["spec"]))
        made = policy_spec(policy)
        server = target or (made.source.mongodb if made is not None else None)
        if server is None:
            raise SourceMissing(f"Set spec.target.mongodb: the BackupPolicy of Backup {name} is gone.")
        place = _readable(Location.model_validate(status["location"]), name, made)
        return _Source(place, str(status.get("name") or name), server, made)


def _as_its_policy(spec: RestoreSpec, policy: BackupPolicySpec | None) -> RestoreSpec:
    """What made the backup reaches its storage, and has the memory: a Restore that says nothing else does likewise."""
    if policy is None:
        return spec
    job = policy.job if spec.job == JobTemplate() else spec.job
    network = policy.network if spec.network == JobNetwork() else spec.network
    return spec.model_copy(update={"job": job, "network": network})


def _readable(place: Location, backup: str, policy: BackupPolicySpec | None) -> Location:
    """The place with a private key, where one is needed: the policy may have been given one since.

    Raises:
        SourceMissing: there is none.
    """
    encryption = place.encryption
    if encryption is None or encryption.identity_secret_ref is not None:
        return place
    now = policy.encryption if policy is not None else None
    if now is None or now.identity_secret_ref is None:
        raise SourceMissing(
            f"Backup {backup} is encrypted, and its private key is not known: name it in "
            "spec.encryption.identitySecretRef of its BackupPolicy, or restore from spec.from.location."
        )
    with_key = encryption.model_copy(update={"identity_secret_ref": now.identity_secret_ref})
    return place.model_copy(update={"encryption": with_key})
