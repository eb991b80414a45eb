"""Writes of one turn of the event loop are one write of the transport beneath."""

import asyncio

from api.http.joined_writes import AT_ONCE, JoinedWrites


class Sent(asyncio.Transport):
    """A transport that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.writes.append(b"closed")

    def is_closing(self) -> bool:
        return False


async def test_head_and_body_are_one_write() -> None:
    beneath = Sent()
    transport = JoinedWrites(beneath, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert beneath.writes == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert beneath.writes == [b"head body", b"next"]


async def test_what_was_written_is_sent_before_the_end() -> None:
    beneath = Sent()
    transport = JoinedWrites(beneath, asyncio.get_running_loop())
    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)
    assert beneath.writes == [b"last words", b"closed"]


async def test_much_is_sent_at_once_so_that_the_writer_can_be_paused() -> None:
    beneath = Sent()
    transport = JoinedWrites(beneath, asyncio.get_running_loop())
    transport.write(bytes(AT_ONCE))
    transport.write(b"more")
    assert beneath.writes == [bytes(AT_ONCE) + b"more"]
    await asyncio.sleep(0)
    assert len(beneath.writes) == 1
