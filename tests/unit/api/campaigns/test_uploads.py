"""Files of recipients: the formats of spreadsheets and programs are read; a file with a doubtful
structure is refused.
"""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.campaigns import uploads
from api.campaigns.spreadsheets import csv_rows
from api.campaigns.uploads import (
    AT_ONCE,
    LONGEST_LINE,
    MOST_LINES,
    BadFile,
    TooManyLines,
    UnknownCharset,
)

ANN, BOB, EVE = "+14155550100", "+4915112345678", "+33612345678"
FOUR = [(2, ANN), (3, BOB), (4, EVE)]


def read_csv(
    content: str | bytes, *, charset: str | None = None, ignore: bool = False
) -> list[tuple[int, str]]:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    text = uploads.text(file, charset, guess=True)
    return [(row.line, row.number) for row in csv_rows(text, ignore_unused=ignore)]


def read_json(content: str | bytes, *, ignore: bool = False) -> list[tuple[int, str]]:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    text = uploads.text(file, None, guess=False)
    return [(row.line, row.number) for row in uploads.json_rows(text, ignore_unused=ignore)]


def refused(content: str | bytes, **options: bool) -> BadFile:
    with pytest.raises(BadFile) as caught:
        read_csv(content, **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "mac-roman", "iso8859-1"]
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_whatever_spreadsheets_save_is_read(
    end: str, last: bool, encoding: str, delimiter: str
) -> None:
    names = ["Name", "To", "Größe"]
    records = [["Jürgen", ANN, "1"], ["Zoë", BOB, ""], ["“Smith”", EVE, ""]]
    if encoding == "iso8859-1":
        records[2][0] = "Smith"
    content = end.join(delimiter.join(record) for record in [names, *records]) + end * last

    assert read_csv(content.encode(encoding), ignore=True) == FOUR


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp1252", "utf-8"])
def test_a_declared_charset_is_believed(encoding: str) -> None:
    content = f"to,ö\n{ANN},ä\n".encode(encoding)

    assert read_csv(content, charset=uploads.charset(encoding), ignore=True) == [(2, ANN)]


def test_bytes_that_are_not_in_the_declared_charset_refuse_the_file() -> None:
    with pytest.raises(BadFile, match="not UTF-8"):
        read_csv("to,ö\n".encode("cp1252"), charset="utf-8", ignore=True)
    with pytest.raises(BadFile, match="cannot be read as"):
        read_csv(b"\xff\xfet\x00o\x00\n\x00\x00\xd8\n\x00")
    with pytest.raises(UnknownCharset, match="one of utf-8"):
        uploads.charset("utf-7")


@pytest.mark.parametrize(
    "header",
    [
        "to",
        "TO",
        " To ",
        '"to"',
        "\ufeffto",
        "Phone",
        "phone_number",
        "Phone-Number",
        "MOBILE",
        "Msisdn:",
    ],
)
def test_the_column_of_numbers_has_common_names_in_any_case(header: str) -> None:
    assert read_csv(f"{header}\n{ANN}\n") == [(2, ANN)]


def test_a_column_called_to_comes_before_others() -> None:
    assert read_csv(f"phone,to,mobile\n{BOB},{ANN},{EVE}\n", ignore=True) == [(2, ANN)]


def test_excel_s_line_about_the_delimiter_is_read() -> None:
    assert read_csv(f"sep=;\r\nto;alias\r\n{ANN};a,b\r\n", ignore=True) == [(3, ANN)]
    assert read_csv(f'"sep=\t"\nto\talias\n{ANN}\tx\n', ignore=True) == [(3, ANN)]
    assert "sep=" in str(refused(f"sep=:\nto:alias\n{ANN}:x\n"))


def test_a_note_over_several_lines_may_hold_a_number() -> None:
    rows = f'to,notes\n{ANN},"Office:\n+49 30 1234567"\n{BOB},x\n'

    assert read_csv(rows, ignore=True) == [(2, ANN), (4, BOB)]


def test_line_breaks_in_quotes_belong_to_the_value() -> None:
    rows = f'to,"the\nnote"\r\n{ANN},"two\r\nlines, and ""quotes"""\r\n{BOB},one\r\n'

    assert read_csv(rows, ignore=True) == [(3, ANN), (5, BOB)]


def test_rows_that_end_early_and_blank_ones_are_read_as_spreadsheets_mean_them() -> None:
    assert read_csv(f"name,to,note,,\nx,{ANN},,,\n,,,,\n\ny,{BOB}\nz\n", ignore=True) == [
        (2, ANN),
        (5, BOB),
        (6, ""),
    ]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("+1 (415) 555-0100", ANN),
        ("+1.415.555.0100", ANN),
        ("\u202a+1\u00a0415\u00a0555\u201101\u200b00\u202c", ANN),
        ('"=""+14155550100"""', ANN),
        ("'+14155550100", ANN),
        (" +14155550100 ", ANN),
        ("+44 (0) 7400 123456", "+44 (0) 7400 123456"),
        ("\u2019+14155550100", ANN),
        ("'\u00a0+14155550100", ANN),
        ("04155550100", "04155550100"),
        ("999155550100", "999155550100"),
    ],
)
def test_what_stands_around_digits_is_dropped_and_no_digit_is(value: str, number: str) -> None:
    assert read_csv(f"to\n{value}\n") == [(2, number)]


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ("", 1, "no header"),
        ("\n\n", 1, "no header"),
        ("a,b\n1,2\n", 1, "no column is named `to`"),
        ("to,to\n1,2\n", 1, "several columns"),
        ("phone;mobile\n1;2\n", 1, "several columns"),
        (f"{ANN}\n{BOB}\n", 1, "no header"),
        (f"name,to\nAnn, Smith,{ANN}\n", 2, "quote a value that holds a comma"),
        (f'to,name\n{ANN},x\n{BOB},"Ann\n{EVE},y\n', 3, "quotes do not match"),
        (f'to,name\n{ANN},"B"ob\n', 2, "quotes do not match"),
        (
            f'to,name\n{ANN},"A\n{BOB},B"\n{EVE},y\n',
            2,
            "is its quote closed",
        ),  # two stray quotes make one value
        (f'name,to\n"A,{ANN}\nB",{BOB}\n', 2, "is its quote closed"),
        (f'to\n{ANN}\n"{BOB}\n{EVE}"\n', 3, "is its quote closed"),
        (f"to\n{ANN}\n{BOB}.0\n", 3, "decimal"),
        (f'to,name,x\n{ANN},"Ann,1\n{BOB},Bob",2,3\n', 2, "close the quote"),
        (f'to,name,x\n{ANN},"Ann,1\n{BOB},Bob"\n{EVE},c,3\n', 2, "close the quote"),
        (f"to\n{ANN}\n4.91512E+12\n", 3, "rounded"),
        (f'to\n{ANN}\n"\'4,91512E+12"\n', 3, "rounded"),
        (f"to\n{ANN}\n 4.91512e+012\n", 3, "rounded"),
        (f"to\n{ANN}\n4915112345678\n", 3, "taken the + off"),
        ("to\n\u00a0'4915112345678\u00a0\n", 2, "taken the + off"),
        ('to\n"=""4915112345678"""\n', 2, "taken the + off"),
        ("to\n4 915 112 345 678\n", 2, "taken the + off"),
        ("to\n6465550100\n", 2, "taken the + off"),
        (f"to\n{ANN}\n" + "x" * (LONGEST_LINE + 1), 3, "longer than"),
        (b"PK\x03\x04...", 1, "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", 1, "workbook"),
        (b"t\x00o\x00\n\x00", 1, "not text"),
        (b"to\n\x1b$B\n", 1, "not text"),
    ],
)
def test_a_doubtful_structure_refuses_the_whole_file(
    content: str | bytes, line: int, why: str
) -> None:
    problem = refused(content, ignore=True)

    assert why in str(problem)
    assert problem.line == line


@pytest.mark.parametrize("content", [f"to,name\n{ANN},Ann\n", f"to,\n{ANN},Ann\n"])
def test_columns_that_nothing_uses_are_refused_unless_they_are_to_be_ignored(content: str) -> None:
    assert "would not be used" in str(refused(content))
    assert read_csv(content, ignore=True) == [(2, ANN)]


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (f'{{"to": "{ANN}"}}\n{{"to": "{BOB}"\n', 2, "not JSON"),
        (f'[{{"to": "{ANN}"}},\n', 1, "not JSON"),
        ("[" * 5_000, 1, "not JSON"),
        (f'{{"to": "{ANN}"}}\n["{BOB}"]\n', 2, "not like"),
        ('{"to": 14155550100}\n', 1, "not like"),
        (b'{"to": "\xff"}\n', 1, "not UTF-8"),
        (f'{{"to": "{ANN}", "name": "Ann"}}\n', 1, "`name` would not be used"),
    ],
)
def test_ndjson_that_is_broken_anywhere_is_refused_whole(
    content: str | bytes, line: int, why: str
) -> None:
    with pytest.raises(BadFile, match=why) as caught:
        read_json(content)

    assert caught.value.line == line


def test_ndjson_may_lack_its_last_line_end_and_numbers_are_not_respelled() -> None:
    assert read_json(f'\ufeff{{"to": "{ANN}", "x": 1}}\r\n\r\n{{"to": "+1 415"}}', ignore=True) == [
        (1, ANN),
        (3, "+1 415"),
    ]


def test_the_rows_of_a_file_come_in_parts() -> None:
    lines = [
        json.dumps({"to": f"+1415{2_000_000 + number % AT_ONCE}"}) for number in range(AT_ONCE + 2)
    ]
    text = uploads.text(io.BytesIO("\n".join([*lines, '{"to": "+1"}']).encode()), None, guess=False)

    first, second = uploads.parts(uploads.json_rows(text, ignore_unused=False))

    assert (first.rows, len(first.countries), first.duplicates, first.bad) == (
        AT_ONCE,
        AT_ONCE,
        0,
        [],
    )
    assert (second.rows, len(second.countries), [line for line, _ in second.bad]) == (
        3,
        2,
        [AT_ONCE + 3],
    )


def test_a_file_has_a_most_of_lines() -> None:
    with pytest.raises(TooManyLines):
        read_json(b"\n" * (MOST_LINES + 3))
    with pytest.raises(TooManyLines):
        read_csv(b"to\n" + b"\n" * (MOST_LINES + 2))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ANN, BOB, EVE]),
            st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        )
    )
)
def test_what_python_s_own_writer_writes_is_read_back(records: list[tuple[str, str]]) -> None:
    clean = [
        (number, "".join(char for char in note if char >= " " or char in "\t\n\r")[:4000])
        for number, note in records
    ]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("to", "note"), *clean])

    assert [number for _, number in read_csv(file.getvalue(), ignore=True)] == [
        number for number, _ in clean
    ]
