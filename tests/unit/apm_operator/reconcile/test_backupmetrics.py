"""What Prometheus reads of policies and restores."""

from datetime import timedelta

import pytest

from apm_operator import metrics
from apm_operator.reconcile import backupmetrics
from unit.apm_operator.vault import Vault, report


@pytest.fixture
async def vault() -> Vault:
    """With a backup that was made and proven."""
    made = Vault()
    made.policy()
    await made.reconcile()
    await backed_up(made, "monday")
    return made


async def backed_up(vault: Vault, name: str, **facts: object) -> None:
    vault.write("Backup", name, {"policyRef": {"name": "nightly"}})
    await vault.reconcile("Backup", name)
    await vault.reconcile("Backup", name)
    vault.reported(name, report(name, **facts))
    await vault.reconcile("Backup", name)
    await vault.reconcile()


def read(vault: Vault, name: str) -> float | None:
    backupmetrics.export(vault.cache, vault.now)
    return metrics.REGISTRY.get_sample_value(name, {"namespace": "shop", "policy": "nightly"})


async def test_a_backup_that_is_proven_is_not_due(vault: Vault):
    assert vault.status().get("lastVerifiedTime"), vault.status()
    assert read(vault, "apm_backup_verification_overdue_seconds") == 0


async def test_one_that_nobody_proved_is_due_from_its_end(vault: Vault):
    status = vault.get("BackupPolicy")["status"]
    del status["lastVerifiedTime"]
    vault.policy()
    vault.now += timedelta(hours=1)
    late = read(vault, "apm_backup_verification_overdue_seconds")
    assert late is not None
    assert late >= 3600


async def test_a_restore_says_when_and_how_it_ended(vault: Vault):
    vault.write("Restore", "back", {"from": {"backupRef": {"name": "monday"}}})
    await vault.reconcile("Restore", "back")
    await vault.reconcile("Restore", "back")
    vault.reported("back", {"result": "Failed", "reason": "StorageUnavailable", "message": "Gone."})
    await vault.reconcile("Restore", "back")
    backupmetrics.export(vault.cache, vault.now)
    at = {"namespace": "shop", "restore": "back", "phase": "Failed"}
    assert metrics.REGISTRY.get_sample_value("apm_restore_finished_timestamp_seconds", at) == vault.now.timestamp()
