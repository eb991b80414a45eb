"""A client with minimal cost, so that on two cores the benchmark measures the server and not the
client.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from bench.outcome import BenchFailed


class Connection:
    """One kept-alive HTTP/1.1 connection; one request after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._head = head

    async def post(self, path: str, body: bytes) -> int:
        """The status; the response's body is read and discarded."""
        self._writer.write(
            b"POST %s HTTP/1.1\r\n%scontent-length: %d\r\n\r\n"
            % (path.encode(), self._head, len(body))
        )
        self._writer.write(body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not length:
            raise BenchFailed("a response without a length")
        await self._reader.readexactly(int(length))
        return int(head[9:12])

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def connect(url: str, key: str, connections: int) -> Sequence[Connection]:
    """Connections to an API at `url`, with its key."""
    at = urlsplit(url)
    head = f"host: {at.netloc}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n".encode()
    return [
        Connection(*await asyncio.open_connection(at.hostname, at.port), head)
        for _ in range(connections)
    ]
