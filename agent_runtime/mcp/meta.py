"""Names of our own in `_meta`, by which client and server of this project tell each other more than the protocol."""

from __future__ import annotations

_PREFIX = "apm.valeo-neuroerp.com/"
KEY = _PREFIX + "idempotencyKey"
"""In a call: the key that stays the same when the call is made again."""
THREAD = _PREFIX + "thread"
"""In an answer: the thread in which the agent worked."""
RUN = _PREFIX + "run"
"""In an answer: the run."""
