"""From the specs of policies and Restores to what their Jobs are told, and what they have to be given for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.secret import SecretKeyRef
from apm_operator.backup.job import (
    Age,
    BackupJob,
    FolderStorage,
    Lease,
    Mongo,
    RemoveJob,
    Rename,
    RestoreJob,
    RestoreTest,
    Retention,
    S3Encryption,
    S3Storage,
    Scope,
    VerifyJob,
)
from apm_operator.manifests.backup_job import BACKUPS_DIR, path
from apm_operator.reconcile.endpoints import Endpoint

if TYPE_CHECKING:
    from apm_operator.api.backup import Location
    from apm_operator.api.backupjob import JobTemplate, MongoDBServer
    from apm_operator.api.backuppolicy import BackupPolicySpec
    from apm_operator.api.restore import RestoreSpec
    from apm_operator.api.storage import Encryption, Storage
    from apm_operator.queue import Key

_DEFAULT_PORTS = {"http": 80, "https": 443}


def claim_name(storage: Storage, policy: str) -> str:
    """The claim of a storage; "" where it is none. A claim that the operator makes is called like its policy."""
    claim = storage.persistent_volume_claim
    if claim is None:
        return ""
    return claim.claim_name or f"{policy}-backups"


def folder(storage: Storage, below: str) -> str:
    """Folder or prefix, with what comes after it."""
    given = storage.persistent_volume_claim.path if storage.persistent_volume_claim is not None else None
    given = storage.s3.prefix if storage.s3 is not None else given
    return "/".join(part for part in (given, below) if part)


def told_storage(storage: Storage, below: str) -> FolderStorage | S3Storage:
    """A storage as a Job is told of it; `below` comes after the folder or prefix that the spec names."""
    s3 = storage.s3
    if s3 is None:
        return FolderStorage(path=f"{BACKUPS_DIR}/{folder(storage, below)}")
    encryption = s3.server_side_encryption
    access, secret = _credentials(storage)
    return S3Storage(
        endpoint=s3.endpoint,
        region=s3.region,
        bucket=s3.bucket,
        prefix=folder(storage, below),
        access_key_id_file=path(access),
        secret_access_key_file=path(secret),
        ca_file=path(s3.ca_secret_ref) if s3.ca_secret_ref is not None else None,
        path_style=s3.path_style,
        encryption=None
        if encryption is None
        else S3Encryption(
            mode=encryption.mode,
            kms_key_id=encryption.kms_key_id,
            key_file=path(encryption.key_secret_ref) if encryption.key_secret_ref is not None else None,
        ),
    )


def _credentials(storage: Storage) -> tuple[SecretKeyRef, SecretKeyRef]:
    name = storage.s3.credentials_secret_ref.name if storage.s3 is not None else ""
    return SecretKeyRef(name=name, key="access-key-id"), SecretKeyRef(name=name, key="secret-access-key")


def told_mongo(server: MongoDBServer) -> Mongo:
    """A MongoDB as a Job is told of it."""
    own = server.tls.client_certificate_secret_ref if server.tls is not None else None
    return Mongo(
        uri_file=path(server.uri_secret_ref),
        ca_file=path(server.tls.ca_secret_ref) if server.tls is not None else None,
        client_certificate_file=path(own) if own is not None else None,
    )


def told_age(encryption: Encryption | None) -> Age | None:
    """Keys as a Job is told of them."""
    if encryption is None:
        return None
    identity = encryption.identity_secret_ref
    return Age(recipients=encryption.recipients, identity_file=path(identity) if identity is not None else None)


def mounted(
    storage: Storage, encryption: Encryption | None, *servers: MongoDBServer | None
) -> tuple[SecretKeyRef, ...]:
    """The Secret keys that the Jobs read."""
    found = {*_of_storage(storage), *(each for server in servers if server is not None for each in of_server(server))}
    if encryption is not None and encryption.identity_secret_ref is not None:
        found.add(encryption.identity_secret_ref)
    return tuple(sorted(found, key=lambda each: (each.name, each.key)))


def of_server(server: MongoDBServer) -> Iterator[SecretKeyRef]:
    """The Secret keys by which a MongoDB is reached."""
    yield server.uri_secret_ref
    if server.tls is not None:
        yield server.tls.ca_secret_ref
        if server.tls.client_certificate_secret_ref is not None:
            yield server.tls.client_certificate_secret_ref


def _of_storage(storage: Storage) -> Iterator[SecretKeyRef]:
    if storage.s3 is None:
        return
    yield from _credentials(storage)
    if storage.s3.ca_secret_ref is not None:
        yield storage.s3.ca_secret_ref
    encryption = storage.s3.server_side_encryption
    if encryption is not None and encryption.key_secret_ref is not None:
        yield encryption.key_secret_ref


def endpoints(storage: Storage) -> tuple[Endpoint, ...]:
    """Where a bucket's server is."""
    s3 = storage.s3
    if s3 is None:
        return ()
    address = s3.endpoint or f"https://s3.{s3.region}.amazonaws.com"
    parts = urlsplit(address)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    host = parts.hostname or ""
    names = (host,) if s3.path_style or s3.endpoint is None else (f"{s3.bucket}.{host}",)
    return tuple(Endpoint(name, port, "storage") for name in names)


def location(storage: Storage, claim: str, below: str) -> dict[str, Any]:
    """What tells one place in a storage from another, for its Lease."""
    if storage.s3 is not None:
        return {"endpoint": storage.s3.endpoint, "bucket": storage.s3.bucket, "prefix": folder(storage, below)}
    return {"claim": claim, "path": folder(storage, below)}


def backup_job(spec: BackupPolicySpec, policy: Key, leases: tuple[str, ...]) -> BackupJob:
    """What a run of the schedule is told."""
    apart, source = spec.verification.schedule is not None, spec.source
    return BackupJob(
        **_common(spec, policy, leases),
        source=told_mongo(source.mongodb),
        scope=Scope(databases=source.databases, namespaces=source.namespaces, excluded=source.excluded),
        oplog=source.oplog,
        read_preference=source.read_preference,
        restore_test=None if apart else restore_test(spec, policy),
        tested=spec.verification.restore_test,
        retention=Retention(days=spec.retention.days, minimum=spec.retention.minimum),
    )


def _scratch(policy: Key) -> str:
    mark = hashlib.sha256(f"{policy.namespace}/{policy.name}".encode()).hexdigest()[:12]
    return f"apm_test_{mark}"


def verify_job(spec: BackupPolicySpec, policy: Key, leases: tuple[str, ...]) -> VerifyJob:
    """What a run of the verification's own schedule is told."""
    test = restore_test(spec, policy)
    if test is not None and test.target is None:
        # Such a Job knows no source that could stand in for it.
        test = test.model_copy(update={"target": told_mongo(spec.source.mongodb)})
    return VerifyJob(**_common(spec, policy, leases), restore_test=test)


def remove_job(
    policy: Key,
    place: Location,
    template: JobTemplate,
    leases: tuple[str, ...],
    *,
    names: tuple[str, ...],
    kept: tuple[str, ...],
) -> RemoveJob:
    """What the removal of backups is told; of all but those that are kept where none is named."""
    return RemoveJob(
        namespace=policy.namespace,
        policy=policy.name,
        storage=told_storage(place.storage, place.path or ""),
        leases=tuple(Lease(name=name) for name in sorted(leases)),
        wait=seconds(template.wait_timeout),
        deadline=seconds(template.timeout),
        names=names,
        kept=kept,
    )


def _common(spec: BackupPolicySpec, policy: Key, leases: tuple[str, ...]) -> dict[str, Any]:
    return {
        "namespace": policy.namespace,
        "policy": policy.name,
        "storage": told_storage(spec.storage, f"{policy.namespace}/{policy.name}"),
        "age": told_age(spec.encryption),
        "leases": tuple(Lease(name=name) for name in sorted(leases)),
        "wait": seconds(spec.job.wait_timeout),
        "deadline": seconds(spec.job.timeout),
    }


def restore_test(spec: BackupPolicySpec, policy: Key) -> RestoreTest | None:
    """How restores are tested; None where they are not."""
    if not spec.verification.restore_test:
        return None
    target = spec.verification.mongodb
    return RestoreTest(
        target=told_mongo(target) if target is not None else None,
        scratch=_scratch(policy),
        sample=spec.verification.sample,
    )


def restore_job(
    spec: RestoreSpec,
    restore: Key,
    uid: str,
    *,
    server: MongoDBServer,
    place: Location,
    name: str | None,
    leases: tuple[str, ...],
) -> RestoreJob:
    """What a Restore's Job is told."""
    return RestoreJob(
        namespace=restore.namespace,
        policy=restore.name,
        storage=told_storage(place.storage, place.path or ""),
        age=told_age(place.encryption),
        leases=tuple(Lease(name=each) for each in sorted(leases)),
        wait=seconds(spec.job.wait_timeout),
        deadline=seconds(spec.job.timeout),
        id=hashlib.sha256(uid.encode()).hexdigest()[:12],
        name=name,
        target=told_mongo(server),
        scope=Scope(namespaces=spec.namespaces, excluded=spec.excluded),
        renames=tuple(Rename(source=each.from_, target=each.to) for each in spec.target.databases),
        replace=spec.mode == "Replace",
    )
