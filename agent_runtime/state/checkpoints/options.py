from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent_runtime.errors import CallError, UnavailableError
from agent_runtime.spec.secret import SecretKeyRef
from agent_runtime.spec.state import StateSpec
from agent_runtime.state.checkpoints.seal import COMPRESS_ABOVE, Sealer


@dataclass(frozen=True)
class Options:
    """How checkpoints are kept."""

    keep: int | None = None
    """Newest checkpoints to keep of each log; None for all."""
    compress_above: int = COMPRESS_ABOVE
    """Bytes."""
    keys: Callable[[], str] | None = None
    """Gives the text of the Secret with the keys, where checkpoints are encrypted; may raise UnavailableError."""

    @classmethod
    def of(cls, spec: StateSpec, read: Callable[[SecretKeyRef], str]) -> Options:
        """As the spec says; `read` gives a Secret's value and may raise CallError."""
        encryption = spec.encryption
        if encryption is None:
            return cls(spec.checkpoints.keep, spec.checkpoints.compress_above)

        def keys() -> str:
            try:
                return read(encryption.key_secret_ref)
            except CallError as error:
                raise UnavailableError(str(error)) from error

        return cls(spec.checkpoints.keep, spec.checkpoints.compress_above, keys)

    def sealer(self) -> Sealer:
        """What seals and opens; raises UnavailableError if the keys can't be used."""
        if self.keys is None:
            return Sealer(self.compress_above)
        from agent_runtime.state.checkpoints.cipher import Cipher  # noqa: PLC0415 - loads much, and few have a key

        return Sealer(self.compress_above, Cipher.of(self.keys()))
