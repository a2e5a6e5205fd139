"""What a policy is to consist of: read from its spec once for each generation and each state of its surroundings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from apm_operator import conditions as c
from apm_operator.api.backuppolicy import BackupPolicySpec
from apm_operator.api.network import Network
from apm_operator.api.problems import describe
from apm_operator.conditions import Verdict
from apm_operator.errors import InvalidSpec
from apm_operator.kinds import APPLIED_HASH, BY_KIND, CLAIMS, FIELD_MANAGER, MANAGED_BY_LABEL, POLICY_LABEL
from apm_operator.manifests import backup, backup_job, backup_networkpolicy
from apm_operator.manifests.agent import canonical, digest, with_metadata
from apm_operator.manifests.backup import Work
from apm_operator.queue import Key
from apm_operator.reconcile import assess, backupspec, jobwork, leases, reach
from apm_operator.reconcile.plan import Images, Manifest
from apm_operator.reconcile.schedule import Schedule
from apm_operator.reconcile.secrets import SecretUse

if TYPE_CHECKING:
    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.api.backupjob import JobNetwork, MongoDBServer
    from apm_operator.manifests.networkpolicy import Target
    from apm_operator.network import ClusterNetwork
    from apm_operator.reconcile.apiserver import Addresses, ApiServer
    from apm_operator.reconcile.endpoints import Endpoint
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.secrets import Secrets
    from apm_operator.reconcile.services import Services


Spec = TypeVar("Spec", bound=BaseModel)
_LONGEST_CRON_JOB = 52


@dataclass(frozen=True, slots=True)
class Terms:
    """What the statuses of a policy's Backups depend on."""

    tested: bool = True
    days: int = 30
    deletion: str = "Retain"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPlan:
    """What follows from one generation of a policy's spec and one state of its surroundings.

    Attributes:
        trouble: what keeps its Jobs from working, such as a Secret that is missing; None where nothing does.
        claim: the volume's claim that is to be there; None where it is not the operator's to make.
    """

    key: Key
    spec: BackupPolicySpec
    work: Work
    schedule: Schedule
    manifests: tuple[Manifest, ...]
    claim: Mapping[str, Any] | None
    trouble: Verdict | None

    @property
    def leases(self) -> tuple[str, ...]:
        """Names of the Leases that its Jobs hold."""
        return self.work.leases

    @property
    def suspended(self) -> bool:
        """Whether no run is made by the schedule."""
        return self.spec.suspend

    @property
    def cron_job(self) -> str:
        """Name of its CronJob."""
        return self.key.name

    @property
    def deadline(self) -> float:
        """Seconds after a slot in which Kubernetes may still make its Job."""
        return float(self.spec.starting_deadline_seconds)

    @property
    def days(self) -> int:
        """How long backups are kept."""
        return self.spec.retention.days

    @property
    def delete(self) -> bool:
        """Whether what is stored goes with the policy."""
        return self.spec.deletion_policy == "Delete"

    def job(self, name: str, backup: Key, uid: str) -> dict[str, Any]:
        """The Job of a Backup that somebody has made."""
        job = backupspec.backup_job(self.spec, self.key, self.leases)
        return backup_job.single(self.work, name, job, (backup, uid))


@dataclass(frozen=True, slots=True)
class Around:
    """What the Jobs of a policy or Restore meet.

    Attributes:
        database: name of the Lease of their MongoDB; "" where they have to do with none.
        missing: what is wrong with their Secrets; None where nothing is.
    """

    database: str
    targets: tuple[Target, ...]
    api_server: Addresses
    missing: Verdict | None
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looks:
    """Finds out where what Jobs connect to is.

    Attributes:
        home: namespace of the operator, where no Jobs are made.
    """

    secrets: Secrets
    services: Services
    api_server: ApiServer
    home: str = ""

    async def look(
        self,
        key: Key,
        mounted: Iterable[SecretKeyRef],
        servers: Iterable[MongoDBServer],
        others: Iterable[Endpoint],
        network: JobNetwork,
        *,
        addressed: Mapping[str, SecretKeyRef] | None = None,
    ) -> Around:
        """The present state; the first of the servers is the one that is locked.

        Args:
            key: whose Jobs they are.
            mounted: the Secret keys that they read.
            servers: where they connect to.
            others: likewise.
            network: what the spec opens by itself.
            addressed: Secret keys with addresses where they connect to as well, by what these are for.

        Raises:
            InvalidSpec: it is in the operator's own namespace, whose Secrets no pod of a user's may mount.
            ApiError: something could not be read for a reason that may pass.
        """
        if key.namespace == self.home:
            raise InvalidSpec(assess.at_home(key).message)
        servers = tuple(servers)
        uses = frozenset(SecretUse(each.name, each.key, live=True) for each in mounted)
        self.secrets.keep(key, uses)
        found = await self.secrets.look(key, uses)
        where: list[Endpoint] = list(others)
        for server in servers:
            where += self.secrets.endpoints(key, _use(server)) or ()
        hidden = []
        for purpose, reference in (addressed or {}).items():
            found_at = self.secrets.endpoints(key, SecretUse(reference.name, reference.key))
            where += [each._replace(purpose=purpose) for each in found_at or ()]
            if not found_at:
                hidden.append(_no_address(purpose, reference))
        services = await self.services.look(key, reach.names(where, key.namespace))
        opened = Network.model_construct(egress_to=network.egress_to, allow_internet=network.allow_internet)
        reached = reach.resolve(where, key.namespace, services, opened)
        dark = [each for each in servers if self.secrets.endpoints(key, _use(each)) is None]
        unread = () if network.egress_to else (*(_no_hosts(_use(each)) for each in dark), *hidden)
        database = self._database(key, servers[0]) if servers else ""
        missing = assess.missing(found, key.namespace) if found.missing or found.incomplete else None
        return Around(database, reached.targets, await self.api_server.look(key), missing, (*reached.unknown, *unread))

    def _database(self, key: Key, server: MongoDBServer) -> str:
        use = _use(server)
        return leases.of_database(self.secrets.endpoints(key, use), key.namespace, use.name, use.key)

    def release(self, key: Key) -> None:
        """The object is gone."""
        self.secrets.release(key)
        self.services.release(key)
        self.api_server.release(key)


class PolicyPlans:
    """Makes the plans of policies."""

    def __init__(self, looks: Looks, cluster: ClusterNetwork, images: Images) -> None:
        self._looks = looks
        self._cluster = cluster
        self._images = images
        self._known: dict[Key, tuple[tuple[str, int], Around, PolicyPlan]] = {}

    async def look(self, key: Key, entry: Entry) -> PolicyPlan:
        """The plan for the newest generation.

        Raises:
            InvalidSpec: the spec breaks a rule that the CRD does not enforce.
            ApiError: something could not be read for a reason that may pass.
        """
        spec = policy_spec(entry)
        record = entry.agent
        if spec is None or record is None:
            raise InvalidSpec("the policy is gone")
        schedule = Schedule.parse(spec.schedule, spec.time_zone)
        servers = [spec.source.mongodb, *([spec.verification.mongodb] if spec.verification.mongodb else [])]
        mounted = backupspec.mounted(spec.storage, spec.encryption, *servers)
        around = await self._looks.look(key, mounted, servers, backupspec.endpoints(spec.storage), spec.network)
        known = self._known.get(key)
        if known is not None and known[:2] == ((record.uid, record.generation), around):
            return known[2]
        claim = backupspec.claim_name(spec.storage, key.name)
        place = backupspec.location(spec.storage, claim, f"{key.namespace}/{key.name}")
        work = jobwork.work(
            around,
            self._images,
            self._cluster,
            owner=key,
            uid=record.uid,
            template=spec.job,
            network=spec.network,
            claim=claim,
            mounted=mounted,
            leases=tuple(sorted((around.database, leases.of_storage(place)))),
        )
        plan = PolicyPlan(
            key=key,
            spec=spec,
            work=work,
            schedule=schedule,
            manifests=tuple(as_applied(body) for body in _children(work, spec, key)),
            claim=_claim(spec, key, claim),
            trouble=around.missing or closed(around.unknown),
        )
        self._known[key] = ((record.uid, record.generation), around, plan)
        return plan

    def release(self, key: Key) -> None:
        """The policy is gone."""
        self._known.pop(key, None)
        self._looks.release(key)

    def leases(self, key: Key) -> tuple[str, ...]:
        """The Leases of a policy's Jobs, as far as they are known."""
        known = self._known.get(key)
        return known[2].leases if known is not None else ()

    @staticmethod
    def terms(entry: Entry | None) -> Terms:
        """What its Backups' statuses depend on; the defaults where it can't be read."""
        try:
            spec = policy_spec(entry)
        except InvalidSpec:
            spec = None
        if spec is None:
            return Terms()
        return Terms(spec.verification.restore_test, spec.retention.days, spec.deletion_policy)

    @staticmethod
    def place(key: Key, entry: Entry | None) -> dict[str, Any]:
        """Where its backups lie, so that they can be restored without it; {} where it can't be read."""
        try:
            spec = policy_spec(entry)
        except InvalidSpec:
            spec = None
        if spec is None:
            return {}
        storage = spec.storage.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        if (claim := storage.get("persistentVolumeClaim")) is not None:
            named = {"claimName": backupspec.claim_name(spec.storage, key.name)}
            storage["persistentVolumeClaim"] = named | ({"path": claim["path"]} if "path" in claim else {})
        encryption = spec.encryption
        told = None if encryption is None else encryption.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        place = {"storage": storage, "path": f"{key.namespace}/{key.name}"}
        return place | ({"encryption": told} if told else {})


def policy_spec(entry: Entry | None) -> BackupPolicySpec | None:
    """The spec of a policy; None where it is gone.

    Raises:
        InvalidSpec: it breaks a rule that the CRD does not enforce.
    """
    if entry is None or entry.agent is None:
        return None
    return parse(BackupPolicySpec, entry.agent.body)


def parse(model: type[Spec], body: bytes) -> Spec:
    """Read the spec of an object.

    Raises:
        InvalidSpec: it breaks a rule that the CRD does not enforce; names each field and what to do.
    """
    written = json.loads(body)["spec"]
    try:
        return model.model_validate(written)
    except ValidationError as error:
        raise InvalidSpec("; ".join(describe(error, written))) from error


def as_applied(body: Mapping[str, Any]) -> Manifest:
    """A child with the mark by which a change of what is wanted shows."""
    bare = canonical(body)
    mark = digest(bare)
    marked = with_metadata(bare, annotations={APPLIED_HASH: mark})
    return Manifest(BY_KIND[body["kind"]], body["metadata"]["name"], marked, mark)


def _children(work: Work, spec: BackupPolicySpec, key: Key) -> list[dict[str, Any]]:
    when: dict[str, Any] = {
        "zone": spec.time_zone,
        "deadline": spec.starting_deadline_seconds,
        "suspend": spec.suspend,
    }
    run = backupspec.backup_job(spec, key, work.leases)
    # The CronJob comes last: what its pods need exists before them, and so does their fence.
    found = [
        backup.service_account(work),
        backup.role(work),
        backup.role_binding(work),
        backup_networkpolicy.build(work),
        backup_job.cron_job(work, key.name, run, schedule=spec.schedule, **when),
    ]
    if spec.verification.schedule is not None:
        test = backupspec.verify_job(spec, key, work.leases)
        name = _verify_name(key.name)
        found.append(backup_job.cron_job(work, name, test, schedule=spec.verification.schedule, **when))
    return found


def _verify_name(policy: str) -> str:
    """Name of the CronJob of the tests: Kubernetes takes 52 characters."""
    name = f"{policy}-verify"
    return name if len(name) <= _LONGEST_CRON_JOB else f"{policy[:34]}-{digest(policy.encode())}-verify"


def _claim(spec: BackupPolicySpec, key: Key, name: str) -> dict[str, Any] | None:
    """The claim to make; it belongs to nobody, since backups lie in it."""
    claim = spec.storage.persistent_volume_claim
    if claim is None or claim.size is None:
        return None
    chosen = {"storageClassName": claim.storage_class_name} if claim.storage_class_name is not None else {}
    return {
        "apiVersion": CLAIMS.api_version,
        "kind": CLAIMS.kind,
        "metadata": {
            "name": name,
            "namespace": key.namespace,
            "labels": {MANAGED_BY_LABEL: FIELD_MANAGER, POLICY_LABEL: key.name},
        },
        "spec": {
            "accessModes": list(claim.access_modes) or ["ReadWriteOnce"],
            "resources": {"requests": {"storage": claim.size}},
            **chosen,
        },
    }


def closed(unknown: tuple[str, ...]) -> Verdict | None:
    """What the Jobs' network policy does not open; None where there is nothing."""
    if not unknown:
        return None
    return Verdict.problem(c.TARGETS_UNKNOWN, f"The Jobs' network policy does not open: {'; '.join(unknown)}.")


def _no_hosts(use: SecretUse) -> str:
    return (
        f"MongoDB: its hosts are not known, since key {use.key} of Secret {use.name} is missing, holds no MongoDB "
        "connection string, or may not be read by the operator: mend that, or name its pods in spec.network.egressTo"
    )


def _no_address(purpose: str, reference: SecretKeyRef) -> str:
    return (
        f"{purpose}: its host is not known, since key {reference.key} of Secret {reference.name} is missing, holds no "
        "address, or may not be read by the operator: mend that, or name its addresses in spec.network.egressTo"
    )


def _use(server: MongoDBServer) -> SecretUse:
    return SecretUse(server.uri_secret_ref.name, server.uri_secret_ref.key)
