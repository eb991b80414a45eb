"""Forges a JSON body with a given CRC-32, by four bytes hidden in a string."""

import json
import zlib
from collections.abc import Mapping

_POLYNOMIAL = 0xEDB88320
_MARK = b"CRCS"
_PRINTABLE = bytes(range(0x20, 0x7F))


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()
_HIGH_BYTE = {value >> 24: index for index, value in enumerate(_TABLE)}


def with_crc(body: Mapping[str, object], wanted: int) -> bytes:
    """The body as JSON, with a first field that makes its CRC-32 the wanted one and is plain
    ASCII.
    """
    rest = json.dumps(body, separators=(",", ":")).encode()[1:]
    for salt in range(1 << 24):
        before = b'{"pad":"%06x' % salt
        four = _four_bytes(before, b'",' + rest, wanted)
        if all(byte in _PRINTABLE and byte not in b'"\\' for byte in four):
            return before + four + b'",' + rest
    raise AssertionError("no four printable bytes were found")


def _four_bytes(before: bytes, after: bytes, wanted: int) -> bytes:
    """The bytes between `before` and `after` that give the CRC: the register is run backwards from
    the end.
    """
    register = _backwards(wanted ^ 0xFFFFFFFF, after)
    register = _backwards(register, bytes(4))
    return (register ^ zlib.crc32(before) ^ 0xFFFFFFFF).to_bytes(4, "little")


def _backwards(register: int, data: bytes) -> int:
    for byte in reversed(data):
        index = _HIGH_BYTE[register >> 24]
        register = (((register ^ _TABLE[index]) << 8) & 0xFFFFFFFF) | (index ^ byte)
    return register
