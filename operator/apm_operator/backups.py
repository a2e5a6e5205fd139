"""Puts the parts together that look after policies, backups, restores and reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apm_operator.kinds import AGENT_REPORTS, BACKUP_POLICIES, BACKUPS, RESTORES
from apm_operator.reconcile.backup import BackupReconciler
from apm_operator.reconcile.backupplan import Looks, PolicyPlans
from apm_operator.reconcile.backuppolicy import PolicyReconciler
from apm_operator.reconcile.pauses import Pauses
from apm_operator.reconcile.plan import Images
from apm_operator.reconcile.removal import Removal
from apm_operator.reconcile.removalplan import RemovalPlans
from apm_operator.reconcile.report import ReportReconciler
from apm_operator.reconcile.reportplan import ReportPlans
from apm_operator.reconcile.restore import RestoreReconciler
from apm_operator.reconcile.restoreplan import RestorePlans
from apm_operator.reconcile.telling import Teller

if TYPE_CHECKING:
    from apm_operator.controller import Reconciler
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.events import Events
    from apm_operator.settings import Settings


def reconcilers(
    settings: Settings,
    kube: Kube,
    cache: Cache,
    looks: Looks,
    events: Events,
    *,
    wake: Callable[[Key], None],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, Reconciler]:
    """Who makes the passes over each of these kinds.

    Args:
        settings: of the operator.
        kube: the Kubernetes API.
        cache: what is known.
        looks: finds out where MongoDB and the storage are.
        events: writes Events.
        wake: has a pass made over an object.
        clock: the present time.
    """
    images = Images(settings.backup_image, settings.backup_image_pull_policy)
    plans = PolicyPlans(looks, settings.network, images)
    teller = Teller(kube, cache, events)
    removals = RemovalPlans(looks, settings.network, images)
    removal = Removal(kube, cache, plans, plans=removals, teller=teller, clock=clock)
    restores = RestorePlans(looks, cache, settings.network, images)
    reports = ReportPlans(looks, settings.network, Images(settings.image, settings.image_pull_policy))
    pauses = Pauses(cache, looks.secrets)
    return {
        BACKUP_POLICIES.kind: PolicyReconciler(
            kube, cache, plans, teller, events=events, removal=removal, wake=wake, clock=clock
        ),
        BACKUPS.kind: BackupReconciler(kube, cache, plans, teller, removal=removal, wake=wake, clock=clock),
        RESTORES.kind: RestoreReconciler(kube, cache, restores, pauses, teller=teller, wake=wake, clock=clock),
        AGENT_REPORTS.kind: ReportReconciler(kube, cache, reports, teller, events=events, clock=clock),
    }
