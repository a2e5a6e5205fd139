"""Rules between fields of the resources of backups, in CEL; each message says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from apm_operator.api.backup import BackupSpec
from apm_operator.api.backupjob import JobNetwork
from apm_operator.api.backuppolicy import BackupPolicySpec, BackupSource
from apm_operator.api.restore import RestoreSource, RestoreSpec, RestoreTarget, StoredBackup
from apm_operator.api.rule import Rule
from apm_operator.api.storage import ClaimStorage, S3Storage, ServerSideEncryption, Storage

_CLAIM_RULES = (
    Rule(
        "has(self.claimName) != has(self.size)",
        "set either `claimName` (a claim that is there) or `size` (of one that the operator makes)",
    ),
    Rule(
        "!has(self.claimName) || (!has(self.storageClassName) && "
        "(!has(self.accessModes) || size(self.accessModes) == 0))",
        "`storageClassName` and `accessModes` have no meaning with `claimName`: remove them",
    ),
)

_SERVER_SIDE_RULES = (
    Rule(
        "(self.mode == 'customer') == has(self.keySecretRef)",
        "set `keySecretRef` where `mode` is `customer`, and nowhere else",
    ),
    Rule(
        "self.mode == 'aws:kms' || !has(self.kmsKeyID)",
        "`kmsKeyID` has a meaning only where `mode` is `aws:kms`: remove it",
    ),
)

_ENCRYPTION_RULES = (
    Rule(
        "!has(self.encryption) || (has(self.encryption.recipients) && size(self.encryption.recipients) > 0)",
        "set `encryption.recipients`: without a public key nothing can be encrypted",
    ),
    Rule(
        "!has(self.encryption) || has(self.encryption.identitySecretRef) || "
        "!has(self.verification) || !has(self.verification.schedule)",
        "set `encryption.identitySecretRef`, or remove `verification.schedule`: a test that comes later needs the "
        "private key",
    ),
)

BACKUP_RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        Storage.__name__: (
            Rule(
                "has(self.persistentVolumeClaim) != has(self.s3)",
                "set exactly one of `persistentVolumeClaim` and `s3`",
            ),
        ),
        ClaimStorage.__name__: _CLAIM_RULES,
        S3Storage.__name__: (
            Rule(
                "!has(self.serverSideEncryption) || self.serverSideEncryption.mode != 'customer' || "
                "!has(self.endpoint) || self.endpoint.startsWith('https:')",
                "a key of your own must not travel in the clear: use an `https` endpoint",
            ),
        ),
        ServerSideEncryption.__name__: _SERVER_SIDE_RULES,
        BackupPolicySpec.__name__: _ENCRYPTION_RULES,
        BackupSource.__name__: (
            Rule(
                "!self.oplog || ((!has(self.databases) || size(self.databases) == 0) && "
                "(!has(self.namespaces) || size(self.namespaces) == 0) && "
                "(!has(self.excluded) || size(self.excluded) == 0))",
                "`oplog` is of all databases: remove `databases`, `namespaces` and `excluded`, or set `oplog: false`",
            ),
        ),
        JobNetwork.__name__: (
            Rule(
                "!has(self.egressTo) || self.egressTo.all(peer, !has(peer.agent))",
                "`agent` has no meaning here: Jobs don't talk to agents",
            ),
        ),
        BackupSpec.__name__: (
            Rule("self == oldSelf", "a Backup can't be changed: make another one with `kubectl create`"),
        ),
        RestoreSpec.__name__: (
            Rule("self == oldSelf", "a Restore can't be changed: delete it, and make another one"),
            Rule(
                "!has(self.from.location) || (has(self.target) && has(self.target.mongodb))",
                "set `target.mongodb`: a location does not say which MongoDB its backups are of",
            ),
        ),
        RestoreTarget.__name__: (
            Rule(
                "!has(self.databases) || self.databases.all(a, self.databases.exists_one(b, a.from == b.from) && "
                "self.databases.exists_one(b, a.to == b.to))",
                "each database is renamed once, and to a name of its own: correct `databases`",
            ),
        ),
        StoredBackup.__name__: (
            Rule(
                "!has(self.encryption) || has(self.encryption.identitySecretRef)",
                "set `encryption.identitySecretRef`: the backup can't be read without the private key",
            ),
            Rule(
                "!has(self.storage.persistentVolumeClaim) || has(self.storage.persistentVolumeClaim.claimName)",
                "set `storage.persistentVolumeClaim.claimName`: backups lie in a claim that is there",
            ),
        ),
        RestoreSource.__name__: (
            Rule("has(self.backupRef) != has(self.location)", "set exactly one of `backupRef` and `location`"),
        ),
    }
)


def name_rule(longest: int, child: str) -> Rule:
    """What a resource may be called that gives its name to a child."""
    return Rule(
        f"size(self.metadata.name) <= {longest} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        f"`metadata.name` names the {child}: use at most {longest} lower-case letters, digits and `-`, beginning and "
        "ending with a letter or digit",
    )
