"""Files of recipients, read as they arrive: lines of NDJSON or CSV, of which each tells a number in `to`.

A row of CSV is one line: no quoted field goes over its end, so that a stray quote spoils one row and not the file.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from api import numbers

NDJSON, CSV = "application/x-ndjson", "text/csv"
MOST_LINES = 1_000_000
LONGEST_LINE = 8192
AT_ONCE = 5000
"""So many lines are stored in one short transaction."""
_CUT = "the file ends here without a line end, and may be cut: the number may be a shorter one than was meant"


class BadLine(ValueError):
    """The line tells no number; the message says why."""


class BadFile(ValueError):
    """Nothing of the file can be read; the message says why."""


class TooManyLines(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines: numbers, each once, with their countries and lines; and lines that tell none."""

    countries: dict[str, str | None] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    bad: list[tuple[int, str]] = field(default_factory=list)
    read: int = 0
    duplicates: int = 0


class File:
    """Takes the bytes as they come, and gives parts of AT_ONCE lines; never holds more than what it was fed last."""

    def __init__(self, media_type: str) -> None:
        self._number: Callable[[str], str] | None = _of_json if media_type == NDJSON else None
        self._most = MOST_LINES + (media_type == CSV)  # its header comes on top
        self._lines: list[bytes] = []
        self._rest = b""
        self._read = 0
        self._cut = False

    @property
    def full(self) -> bool:
        """Whether there are lines enough for a part."""
        return len(self._lines) >= AT_ONCE

    def feed(self, some: bytes) -> None:
        """Raises `TooManyLines`."""
        *lines, rest = (self._rest + some).split(b"\n")
        self._rest = rest[: LONGEST_LINE + 1]  # enough to see that it is too long
        self._lines += lines
        if self._read + len(self._lines) > self._most:
            raise TooManyLines

    def end(self) -> None:
        """What has no line end is the last line."""
        if self._rest:
            self._lines.append(self._rest)
            self._cut = True

    def part(self) -> Part:
        """The next lines; takes some ten milliseconds, so let a thread do it. Raises `BadFile`."""
        some, self._lines = self._lines[:AT_ONCE], self._lines[AT_ONCE:]
        countries: dict[str, str | None] = {}
        places: dict[str, int] = {}
        bad: list[tuple[int, str]] = []
        duplicates = 0
        first = self._read + 1
        self._read += len(some)
        for line, raw in enumerate(some, first):
            try:
                number = self._number_in(line, raw, last=self._cut and raw is some[-1] and not self._lines)
            except BadLine as problem:
                bad.append((line, str(problem)))
                continue
            if number is None:
                continue
            if number in countries:
                duplicates += 1
                continue
            countries[number] = numbers.country_of(number)
            places[number] = line
        return Part(countries, places, bad, len(some), duplicates)

    def _number_in(self, line: int, raw: bytes, *, last: bool) -> str | None:
        """None for a blank line and for CSV's header."""
        text = _text(raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw)
        if not text.strip():
            return None
        if self._number is None:
            self._number = _Rows(text).number
            return None
        number = self._number(text)
        problem = numbers.problem_with(number)
        if problem is not None:
            raise BadLine(problem)
        if last and self._number is not _of_json:
            raise BadLine(_CUT)
        return number

    def check_header(self) -> None:
        """Raises `BadFile` where the file was read to its end and had none."""
        if self._number is None:
            raise BadFile("the first line of CSV names the columns, one of them `to`")


def _text(raw: bytes) -> str:
    if len(raw) > LONGEST_LINE:
        raise BadLine(f"it is longer than {LONGEST_LINE} bytes")
    try:
        return raw.decode().removesuffix("\r")
    except UnicodeDecodeError:
        raise BadLine("it is not UTF-8") from None


def _of_json(text: str) -> str:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise BadLine("it is not JSON") from None
    number = told.get("to") if isinstance(told, dict) else None
    if not isinstance(number, str):
        raise BadLine('it is not like {"to": "+14155550100"}')
    return number


class _Rows:
    """Rows of CSV below their header; columns other than `to` mean nothing."""

    def __init__(self, header: str) -> None:
        try:
            names = [name.strip() for name in _fields(header)]
        except BadLine as problem:
            raise BadFile(f"the header cannot be read: {problem}") from None
        if names.count("to") != 1:
            raise BadFile("the first line of CSV names the columns, one of them `to`")
        self._columns, self._to = len(names), names.index("to")

    def number(self, text: str) -> str:
        fields = _fields(text)
        if len(fields) != self._columns:
            raise BadLine(f"it has {len(fields)} columns, and the header {self._columns}")
        return fields[self._to].strip()


def _fields(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as problem:
        raise BadLine(f"it is not CSV: {problem}") from None
