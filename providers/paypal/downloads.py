"""Downloads a small file of limited size; follows no redirect."""

import httpx

_LARGEST = 64 * 1024
_TRY_AGAIN = frozenset({408, 425, 429})


class Refused(Exception):
    """The address responded without the file, or with a file that is too large."""


class Unavailable(Exception):
    """The address cannot respond now."""


async def body(client: httpx.AsyncClient, url: str) -> bytes:
    """Raises these two and httpx's errors. The caller limits the time."""
    async with client.stream("GET", url, follow_redirects=False) as response:
        if response.status_code >= 500 or response.status_code in _TRY_AGAIN:
            raise Unavailable(f"answered {response.status_code}")
        if response.status_code != 200:
            raise Refused(f"answered {response.status_code}")
        found = bytearray()
        async for chunk in response.aiter_bytes():
            found += chunk
            if len(found) > _LARGEST:
                raise Refused("returned more than 64 KiB")
        return bytes(found)
