"""Jobs of a CronJob whose node is lost: Kubernetes waits for them without an end, and makes no other."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from apm_operator import conditions as c
from apm_operator.errors import Conflict, NotFound
from apm_operator.kinds import JOBS
from apm_operator.reconcile.ending import unanswered

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.events import Events


async def give_up(kube: Kube, events: Events, key: Key, entry: Entry, *, command: str, now: datetime) -> int:
    """Delete those of a command, so that the next one can begin.

    Returns:
        The number of writes.
    """
    writes = 0
    for name, job in sorted(entry.jobs.items()):
        lost = unanswered({each: pod for each, pod in entry.runs.items() if pod.owner == job.uid}, now)
        if job.command != command or job.deleting or not lost or entry.agent is None:
            continue
        with suppress(NotFound, Conflict):
            await kube.delete(JOBS, key.namespace, name, job.uid)
            message = f"{lost} Its Job {name} was deleted, so that the next one can begin."
            await events.tell(key, entry.agent.uid, c.POD_LOST, message)
            writes += 1
    return writes


def leaving(entry: Entry) -> bool:
    """Whether a pod is to end, and may not answer."""
    return any(pod.at_work and pod.leaves for pod in entry.runs.values())
