"""Finds API keys, and caches them for a few seconds: a revoked key works no longer than that."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from api.http.lookups import Lookups
from db import api_keys
from db.api_keys import ApiKey
from db.pipeline import reading

REMEMBERED = 5.0
_MOST = 10_000


class Keys:
    """Only existing keys are cached, so that guesses cannot fill the memory."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._remembered: OrderedDict[bytes, tuple[ApiKey, float]] = OrderedDict()
        self._lookups = Lookups(self._ask)

    async def find(self, plain: str) -> ApiKey | None:
        sha256 = api_keys.digest(plain)
        remembered = self._remembered.get(sha256)
        if remembered is not None and time.monotonic() < remembered[1]:
            return remembered[0]
        key = await self._lookups.find(sha256)
        self._remembered.pop(sha256, None)
        if key is not None:
            self._remembered[sha256] = (key, time.monotonic() + REMEMBERED)
            if len(self._remembered) > _MOST:
                self._remembered.popitem(last=False)
        return key

    async def _ask(self, digests: Sequence[bytes]) -> Mapping[bytes, ApiKey]:
        async with reading(self._engine).connect() as conn:
            return await api_keys.find(conn, digests)
