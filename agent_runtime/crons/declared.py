"""Crons that stand in the agent's spec."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from agent_runtime.auth.principal import Principal
from agent_runtime.crons.cron import Cron
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from agent_runtime.spec.agent import RuntimeConfig


def declared(config: RuntimeConfig) -> list[Cron]:
    """Those of the spec; their runs are the agent's own.

    A cron with another schedule is another one. So pods of an older and a newer spec, which are there together while
    one is rolled out, do not meet, and where the schedule stayed the same each tick is still taken once.
    """
    agent = config.agent.key
    caller = Principal(agent, "", "mtls").kept
    found = []
    for cron in config.spec.crons:
        times = hashlib.sha256(f"{cron.schedule} {cron.time_zone}".encode()).hexdigest()[:16]
        found.append(
            Cron(
                cron_id=str(uuid5(NAMESPACE_URL, f"{agent}/crons/{cron.name}/{times}")),
                caller=caller,
                schedule=cron.schedule,
                timezone=cron.time_zone,
                request={"assistant_id": "agent", "input": cron.input, "on_completion": cron.on_completion},
                metadata={"cron": cron.name},
                enabled=cron.enabled,
                declared=True,
                deadline=seconds(cron.starting_deadline),
            )
        )
    return found
