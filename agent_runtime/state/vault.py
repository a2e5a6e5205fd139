"""Texts of conversations outside of checkpoints, as they are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import structlog
from bson import Binary

from agent_runtime.errors import StateLostError, UnreadableError

if TYPE_CHECKING:
    from agent_runtime.state.checkpoints.seal import Sealer

log = structlog.get_logger()

_MALFORMED = "it is no JSON object: it was changed from outside"


class Vault:
    """Encrypts texts where the spec has a key; without one they are kept as they are.

    Texts from before stay readable, and are encrypted when they are written again.
    """

    def __init__(self, sealer: Sealer | None = None) -> None:
        self._sealer = sealer if sealer is not None and sealer.cipher is not None else None
        self._told: set[str] = set()

    def close(self, text: str, place: str) -> str | Binary:
        """What is kept of a text; where it is encrypted, it can be opened at the same `place` only."""
        return text if self._sealer is None else Binary(self._sealer.seal(text.encode(), place))

    def open_object(self, kept: Any, place: str) -> dict[str, Any]:
        """The JSON object that a text is.

        Raises:
            UnreadableError: As `open`; or it is none, such as after a change by hand.
        """
        try:
            found = json.loads(self.open(kept, place)) if isinstance(kept, str | bytes) else None
        except (ValueError, IndexError):
            found = None
        if not isinstance(found, dict):
            self._tell(_MALFORMED)
            raise UnreadableError(_MALFORMED)
        return found

    def open(self, kept: str | bytes, place: str) -> str:
        """The text.

        Raises:
            UnreadableError: It is encrypted with a key that is not there, or was changed or moved.
        """
        if isinstance(kept, str):
            return kept
        from agent_runtime.state.checkpoints.seal import Sealer  # noqa: PLC0415 - only where a key is or was

        try:
            return (self._sealer or Sealer()).open(kept, place).decode()
        except (UnreadableError, StateLostError) as error:
            self._tell(str(error))
            # Loops that look after many texts go on, and what is right can be put back.
            raise UnreadableError(str(error)) from error

    def _tell(self, reason: str) -> None:
        """Says once what is wrong: the same texts are read again and again. There are as many reasons as keys."""
        if reason not in self._told:
            self._told.add(reason)
            log.warning("something that is kept can't be read", reason=reason)
