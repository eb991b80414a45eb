"""CSV of recipients as spreadsheets write it: RFC 4180, with the deviations of Excel, Numbers and
Google Sheets.

The delimiter is the one with which the header has a column of numbers, or the one in Excel's
`sep=`.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from api.campaigns import numbers
from api.campaigns.uploads import BadFile, Row, Text, refuse_unused

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
NAMES = frozenset(
    {
        "phone",
        "phone number",
        "phonenumber",
        "mobile",
        "mobile number",
        "mobile phone",
        "cell",
        "cell phone",
        "msisdn",
    }
    | {"number", "recipient", "telephone", "telephone number", "tel"}
)
"""Further names of the column of numbers besides `to`, in any case."""
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_SEPARATORS = re.compile("[\\s.()/\u2010-\u2015-]")
_FORMULA = re.compile(r'="(.*)"')
_ROUNDED = re.compile(r"\+?\d([.,]\d+)?E\+?\d+", re.IGNORECASE)
_DECIMAL = re.compile(r"\+?\d{7,}[.,]0+")
_WHOLE = re.compile(r"\+\d{7,15}")


@dataclass(frozen=True, slots=True)
class Record:
    """The values between two row ends. It begins on `line` and ends on `ends`, the same line or a
    later one.
    """

    line: int
    ends: int
    values: list[str]

    @property
    def blank(self) -> bool:
        return not any(value.strip() for value in self.values)


@dataclass(frozen=True, slots=True)
class Header:
    """How to read the rows: `skipped` lines are above the header, `to` is the index of the number."""

    delimiter: str
    skipped: int
    record: Record
    names: list[str]
    to: int


def csv_rows(text: Text, *, ignore_unused: bool) -> Iterator[Row]:
    """The rows below the header that are not blank. Raises `BadFile` and `TooManyLines` at the line
    concerned.
    """
    header = _header(text)
    if not ignore_unused:
        values = header.record.values
        unused = [
            values[at].strip() for at, name in enumerate(header.names) if name and at != header.to
        ]
        refuse_unused(unused, header.record.line)
    for record in _records(text, header.delimiter, header.skipped):
        if record.line > header.record.line and not record.blank:
            _check(record, header, ignore_unused=ignore_unused)
            yield Row(
                record.line,
                _number(record.values[header.to] if header.to < len(record.values) else "", record),
            )


def _header(text: Text) -> Header:
    first = next(text.lines(), "")
    named = _SEP.fullmatch(first)
    if named is not None and named[1] not in DELIMITERS:
        raise BadFile(f"sep= does not name a supported delimiter: {', '.join(DELIMITERS.values())}")
    skipped = 0 if named is None else 1
    problems: list[tuple[int, BadFile]] = []
    for delimiter in DELIMITERS if named is None else named[1]:
        record = Record(1, 1, [])
        try:
            record = _first(text, delimiter, skipped)
            names = [_name(value) for value in record.values]
            return Header(delimiter, skipped, record, names, _place_of_number(names, record))
        except BadFile as problem:
            problems.append((len(record.values), problem))
    raise max(problems, key=lambda candidate: candidate[0])[1]


def _first(text: Text, delimiter: str, skipped: int) -> Record:
    for record in _records(text, delimiter, skipped):
        if not record.blank:
            return record
    raise BadFile("it has no header: name the columns in the first line, one of them `to`")


def _place_of_number(names: list[str], record: Record) -> int:
    found = [at for at, name in enumerate(names) if name == "to"] or [
        at for at, name in enumerate(names) if name in NAMES
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadFile(
            "several columns may hold the number: name only one of them `to`", record.line
        )
    if any(re.fullmatch(r"\+?\d{7,15}", value) for value in names):
        raise BadFile(
            "the first row is a recipient, so there is no header: insert a line with `to` above it",
            record.line,
        )
    delimiters = ", ".join(DELIMITERS.values())
    raise BadFile(
        f"no column is named `to`: name the column of numbers `to` (delimiters: {delimiters})",
        record.line,
    )


def _records(text: Text, delimiter: str, skipped: int) -> Iterator[Record]:
    reader = csv.reader(islice(text.lines(), skipped, None), delimiter=delimiter, strict=True)
    ends = skipped
    while True:
        line = ends + 1
        try:
            values = next(reader, None)
        except csv.Error as problem:
            raise BadFile(
                f"its quotes do not match ({problem}): close each, and write one in a value twice",
                line,
            ) from None
        if values is None:
            return
        ends = skipped + reader.line_num
        yield Record(line, ends, values)


def _check(record: Record, header: Header, *, ignore_unused: bool) -> None:
    """A row may end early, or continue with blank values: spreadsheets write both."""
    values, columns = record.values, len(header.names)
    if record.ends > record.line and len(values) != columns:
        raise BadFile(
            f"a quote opens here and the row continues to line {record.ends}: close the quote",
            record.line,
        )
    if any(_holds_a_row(value, header) for value in values):
        detail = (
            f"a value in quotes goes on to line {record.ends} and seems to hold a row: is its "
            "quote closed?"
            " else take the line breaks out of it"
        )
        raise BadFile(detail, record.line)
    if any(value.strip() for value in values[columns:]):
        delimiter = DELIMITERS[header.delimiter]
        detail = (
            f"it has {len(values)} columns, and the header {columns}: quote a value that holds a "
            f"{delimiter}"
        )
        raise BadFile(detail, record.line)
    nameless = [
        at for at, value in enumerate(values[:columns]) if value.strip() and not header.names[at]
    ]
    if nameless and not ignore_unused:
        refuse_unused([f"column {nameless[0] + 1}, which has no name"], record.line)


def _holds_a_row(value: str, header: Header) -> bool:
    """Whether a value spans several lines in which a stray quote may have swallowed rows."""
    lines = [line.split(header.delimiter) for line in value.splitlines()]
    if len(lines) < 2:
        return False
    lines[0] = lines[0][1:]  # the value itself begins here
    least = min(2, len(header.names))
    cells = [
        cell
        for number, line in enumerate(lines)
        if len(line) >= least or number == 0
        for cell in line
    ]
    return any(_WHOLE.fullmatch(_SEPARATORS.sub("", cell)) for cell in cells)


def _name(value: str) -> str:
    return re.sub(r"[\s_-]+", " ", _INVISIBLE.sub("", value)).strip(" *:.").casefold()


def _number(value: str, record: Record) -> str:
    """Without the characters that spreadsheets and people write around and within a number; digits
    are never added or dropped.
    """
    number = _INVISIBLE.sub("", value).strip()
    formula = _FORMULA.fullmatch(number)
    number = (formula[1] if formula else number).strip().lstrip("'\u2018\u2019`").strip()
    if _ROUNDED.fullmatch(number):
        raise BadFile(
            "a spreadsheet has rounded the number: format the column as text, and fill it again",
            record.line,
        )
    if _DECIMAL.fullmatch(number):
        raise BadFile(
            "a spreadsheet has made the number a decimal one: format the column as text",
            record.line,
        )
    if "(0)" in number:
        return number
    number = _SEPARATORS.sub("", number)
    if number.isdigit() and numbers.problem_with(f"+{number}") is None:
        # a number of one country is often valid in another: without its + the country is unknown
        detail = (
            "a spreadsheet has taken the + off: format the column as text, "
            "and write each number with + and country"
        )
        raise BadFile(f"{detail} code", record.line)
    return number
