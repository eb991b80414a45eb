"""Sends the head and the body of a response together: uvicorn writes them one after the other, and
a write of its own costs a system call here and a wakeup at the client.
"""

import asyncio
from typing import Any

AT_ONCE = 64 * 1024
"""Bytes that are sent without waiting for more, so that the transport can pause its writer."""


class JoinedWrites:
    """A transport whose writes within one turn of the event loop are one write."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pending: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(data)
        self._size += len(data)
        if self._size > AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Close it after what was written is sent."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._pending:
            joined = b"".join(self._pending)
            self._pending, self._size = [], 0
            self._transport.write(joined)
