"""Files of recipients, NDJSON or CSV. A file with a doubtful structure is refused as a whole.

An invalid number affects only its line: that line is skipped and listed.
"""

import codecs
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

from api.campaigns import numbers

NDJSON, CSV = "application/x-ndjson", "text/csv"
MOST_LINES = 1_000_000
LONGEST_LINE = 8192
AT_ONCE = 5000
"""Recipients that are stored in one short transaction."""
CHARSETS = frozenset(
    {"utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "iso8859-1", "iso8859-15"}
)
"""The names of Python's codecs."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SAVE_AS = "save it as CSV UTF-8"


class BadFile(ValueError):
    """The whole file is refused; the message gives the cause and the remedy, `line` the place."""

    def __init__(self, problem: str, line: int = 1) -> None:
        super().__init__(problem)
        self.line = line


class UnknownCharset(ValueError):
    """The declared charset is not supported."""


class TooManyLines(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Row:
    """One recipient: its number as in the file, and the line on which it begins."""

    line: int
    number: str


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows: their numbers, each once, with country and line; and the lines with an invalid
    number.
    """

    countries: dict[str, str | None]
    lines: dict[str, int]
    bad: list[tuple[int, str]]
    rows: int
    duplicates: int


class Text:
    """A file as text that can be read repeatedly; the file is closed with the object."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(file, encoding=encoding, newline="")

    def lines(self) -> Iterator[str]:
        """The lines from the first on, each with its end: LF, CR LF or CR. Raises `BadFile` and
        `TooManyLines`.
        """
        number = 0
        try:
            self._text.seek(0)
            while line := self._text.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise BadFile(f"it is longer than {LONGEST_LINE} characters", number)
                if number > MOST_LINES + 2:  # in addition to a header and `sep=`
                    raise TooManyLines
                yield line
        except UnicodeError:
            raise BadFile(
                f"it cannot be read as {self._text.encoding}: {_SAVE_AS}", number + 1
            ) from None


def charset(declared: str) -> str | None:
    """The codec for the `charset` of a Content-Type; None if it is empty. Raises `UnknownCharset`."""
    if not declared:
        return None
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        name = ""
    if name not in CHARSETS:
        raise UnknownCharset(
            "a charset is one of utf-8, utf-16, windows-1252, iso-8859-1 and iso-8859-15"
        )
    return name


def text(file: IO[bytes], declared: str | None, *, guess: bool) -> Text:
    """Find the encoding: by the byte order mark, or else as declared, or else UTF-8. Raises
    `BadFile`.

    With `guess`, a file that is not UTF-8 is read as ISO 8859-1: numbers and delimiters are ASCII
    in every encoding that a spreadsheet writes without a mark, and the rest of the file is not
    used.
    """
    file.seek(0)
    head = file.read(4)
    if head.startswith(_WORKBOOKS):
        raise BadFile(f"it is a workbook, not a text file: {_SAVE_AS}")
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is not None or (declared or "").startswith("utf-16"):
        return Text(file, marked or ("utf-16-le" if declared == "utf-16" else declared or ""))
    if _is_utf_8(file):
        return Text(file, "utf-8")
    if declared in ("utf-8", "ascii") or not (guess or declared):
        raise BadFile("it is not UTF-8: save it as UTF-8, or declare its charset in Content-Type")
    return Text(file, declared or "iso8859-1")


def _is_utf_8(file: IO[bytes]) -> bool:
    file.seek(0)
    decoder, valid = codecs.getincrementaldecoder("utf-8")(), True
    while some := file.read(1 << 16):
        if _NO_TEXT.search(some):
            raise BadFile(f"it contains bytes that are not text: {_SAVE_AS}")
        try:
            if valid:
                decoder.decode(some)
        except UnicodeDecodeError:
            valid = False
    return valid and not decoder.getstate()[0]


def json_rows(text: Text, *, ignore_unused: bool) -> Iterator[Row]:
    """One object per line, with its number in `to`. Raises `BadFile` and `TooManyLines` at the line
    concerned.
    """
    for number, line in enumerate(text.lines(), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            raise BadFile(
                'it is not JSON: each line is an object like {"to": "+14155550100"}', number
            ) from None
        to = content.get("to") if isinstance(content, dict) else None
        if not isinstance(to, str):
            raise BadFile('it is not like {"to": "+14155550100"}', number)
        if not ignore_unused:
            refuse_unused([key for key in content if key != "to"], number)
        yield Row(number, to)


def refuse_unused(names: list[str], line: int) -> None:
    """Raises `BadFile` if there are any: their author expects them to have an effect."""
    if names:
        named = ", ".join(f"`{name[:50]}`" for name in names[:5])
        raise BadFile(
            f"{named} would not be used: remove it, or upload with ?unused_columns=ignore", line
        )


def parts(rows: Iterable[Row]) -> Iterator[Part]:
    """The rows, in parts of up to AT_ONCE; a part takes some ten milliseconds, so call it in a
    thread.
    """
    rest = iter(rows)
    while some := list(islice(rest, AT_ONCE)):
        yield _part(some)


def _part(rows: list[Row]) -> Part:
    countries: dict[str, str | None] = {}
    lines: dict[str, int] = {}
    bad: list[tuple[int, str]] = []
    for row in rows:
        if row.number in countries:
            continue
        problem = numbers.problem_with(row.number)
        if problem is not None:
            bad.append((row.line, problem))
            continue
        countries[row.number] = numbers.country_of(row.number)
        lines[row.number] = row.line
    return Part(countries, lines, bad, len(rows), len(rows) - len(bad) - len(countries))
