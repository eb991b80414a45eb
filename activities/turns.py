"""Limits concurrency per organization, so that one organization's locks leave connections to all
others.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class TooManyWait(Exception):
    """Too many callers of this organization are waiting."""


@dataclass(slots=True)
class _Line:
    free: asyncio.Semaphore
    callers: int = 0


@dataclass(slots=True)
class Turns:
    """`most` at once per organization, and `waiting` in a queue; further callers are refused."""

    most: int
    waiting: int = 1_000
    _lines: dict[str, _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, organization_id: str) -> AsyncIterator[None]:
        """Raises `TooManyWait`."""
        line = self._lines.setdefault(organization_id, _Line(asyncio.Semaphore(self.most)))
        if line.callers >= self.most + self.waiting:
            raise TooManyWait(organization_id)
        line.callers += 1
        try:
            async with line.free:
                yield
        finally:
            line.callers -= 1
            if not line.callers:
                del self._lines[organization_id]
