from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.auth.principal import Principal


@dataclass(frozen=True)
class Caller:
    """What came with a request besides its body."""

    principal: Principal
    hops: int = 0
    headers: dict[str, str] | None = None
    key: str | None = None
    """Idempotency key: a second request with it joins the first one's run."""
    patience: float | None = None
    """Seconds that the caller still waits; the run ends by then."""
    once: bool = False
    """Whether the key stands for one run, whatever became of it."""
    run_id: str | None = None
    """What the run is to be called; it is made once, however it ends. Without a thread, its thread is called so too."""

    @property
    def passed_on(self) -> dict[str, Any]:
        """What is kept with the run."""
        limit = {} if self.patience is None else {"deadline": time.time() + self.patience}
        return {"hops": self.hops, "headers": self.headers or {}, **limit}
