"""The end of a connection whose client still sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LINGER = 1.0
"""Seconds for which what comes after the answer is read and thrown away."""


class LingeringTransport:
    """A transport that closes without losing the answer.

    A socket that is closed while unread data lies in it is reset, and a reset takes with it what the client has not
    read yet: so an answer to half a body, such as 408 or 413, would get lost. This one says that it will send no more,
    and reads on for a moment.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, still_sends: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._still_sends = still_sends
        self.lingers = False
        """Whether what comes is to be thrown away."""

    def close(self) -> None:
        """Closes now, or in a moment where the client still sends; called again, it closes now."""
        if self.lingers or self._transport.is_closing() or not self._still_sends():
            self._transport.close()
            return
        self.lingers = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(LINGER, self._transport.abort)

    def is_closing(self) -> bool:
        """Whether it is about to end."""
        return self.lingers or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
