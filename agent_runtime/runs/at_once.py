"""Runs that begin here as they are accepted, in threads that are made for them.

The thread is taken while it is made, and the run is written as begun: a write less than by way of the queue. Since the
lease is held before the run is there, nobody else can begin it; and if it is not begun here after all, it is taken like
one of a pod that died.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_runtime.runs.worker import Worker
    from agent_runtime.state.records import Lease, Run, Thread
    from agent_runtime.state.store import Store


async def add_thread(store: Store, worker: Worker, thread: Thread) -> tuple[bool, Lease | None]:
    """Whether the thread is new and was added; with its lease, where a run of it can begin here."""
    reserving = asyncio.create_task(worker.reserve(thread.thread_id))
    added = False
    try:
        added = await store.add_thread(thread)
    finally:
        lease = await reserving
        if lease is not None and not added:
            await worker.leave(lease)
    return added, lease if added else None


async def add_run(store: Store, worker: Worker, run: Run, lease: Lease, *, alone: bool, lone: bool) -> bool:
    """Whether the run was added and begins; it is left to the queue, where that is not known. `lone` as in `Job`."""
    begun = replace(run, status="running", epoch=lease.epoch, attempt=1)
    added = False
    try:
        added = await store.add_run(begun, alone=alone, lone=True)
    finally:
        if added:
            worker.begin(begun, lease, lone=lone)
        else:
            await worker.leave(lease)
    return added
