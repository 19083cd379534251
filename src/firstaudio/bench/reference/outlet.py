"""Writing that happens now: bytes go to the kernel within the call, not at the end of the loop's turn."""

from __future__ import annotations

import asyncio
import os
from typing import cast

FULL_BYTES = 1 << 20  # that the kernel has not taken: the client does not read


class Outlet:
    """A transport's writing end. uvloop's `write` collects until the loop's next turn: it is the reserve."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._fd: int = transport.get_extra_info("socket").fileno()

    @property
    def full(self) -> bool:
        """Too much waits for the client to read."""
        return self._transport.get_write_buffer_size() > FULL_BYTES

    def write(self, data: bytes) -> None:
        """Send; what the kernel does not take is kept."""
        if self._transport.is_closing():
            return
        taken = 0
        if not self._transport.get_write_buffer_size():
            try:
                taken = os.write(self._fd, data)
            except BlockingIOError:
                pass
            except OSError:  # the client has gone
                self._transport.abort()
                return
        if taken < len(data):
            self._transport.write(data[taken:])

    def close(self) -> None:
        """Hang up when all is written."""
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once: the client sees a broken connection."""
        self._transport.abort()
