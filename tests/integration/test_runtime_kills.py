"""Pods that are killed at random moments, while clients make runs."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time

from fakes.load import Load
from fakes.replicas import replicas

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("APM_KILLS", "2"))
CLIENTS = 6
SEED = 20261121
RESUMED = 15.0
"""Seconds within which a run goes on after its pod died; the runtime promises so."""


async def test_every_run_that_was_accepted_ends_whatever_pod_is_killed(mongodb_uri, database, tmp_path):
    chance = random.Random(SEED)  # noqa: S311 - the same moments each time
    (told := tmp_path / "told").mkdir()
    kills: list[float] = []
    async with replicas(tmp_path, mongodb_uri, database) as fleet:
        load = Load(fleet, chance, told)
        async with load.by(CLIENTS):
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.5, 3))
                dying = chance.randrange(len(fleet))
                fleet[dying].kill()
                kills.append(time.monotonic())
                await fleet.start([dying])
        assert len(load.accepted) > CLIENTS
        courses = await load.ended(120)
    assert [course for course in courses if course.repeated] == []
    slowest = max(course.longest_gap(kills) for course in courses)
    log.info("%d kills, %d runs, resumed after %.1f s at most", len(kills), len(courses), slowest)
    assert slowest < RESUMED
