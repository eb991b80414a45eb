"""Files of recipients: however their bytes arrive, the same lines come out, and little is held meanwhile."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.uploads import AT_ONCE, CSV, LONGEST_LINE, MOST_LINES, NDJSON, BadFile, File, TooManyLines

NUMBERS = [f"+1415{2_000_000 + one}" for one in range(8)]
LINES = st.one_of(
    st.sampled_from([json.dumps({"to": one}) for one in NUMBERS]),
    st.sampled_from(
        ["", " ", "x", '{"to": 1}', '{"to": "+1"}', "é" * 5_000, '{"to": "+4915112345678", "name": "Jürgen"}']
    ),
)


def read(media_type: str, *pieces: bytes) -> tuple[list[str], list[tuple[int, str]], int, int]:
    """Numbers, bad lines, lines and duplicates of a file that arrives in pieces."""
    file = File(media_type)
    for piece in pieces:
        file.feed(piece)
    file.end()
    part = file.part()
    file.check_header()
    return list(part.countries), part.bad, part.read, part.duplicates


@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n"]), st.lists(st.integers(0, 9_000), max_size=6))
def test_it_does_not_matter_how_the_bytes_are_cut(lines: list[str], ending: str, cuts: list[int]) -> None:
    whole = "".join(line + ending for line in lines).encode()
    at = sorted({0, *cuts, len(whole)})
    pieces = [whole[start:end] for start, end in pairwise(at)]

    assert read(NDJSON, *pieces) == read(NDJSON, whole)
    assert read(NDJSON, whole)[2] == len(lines)


@pytest.mark.parametrize("cut", range(1, 14))
def test_csv_cut_anywhere_in_its_last_number_has_a_bad_last_line(cut: int) -> None:
    whole = b"to\n+14155550100\n+49151123456\n"
    numbers, bad, _, _ = read(CSV, whole[:-cut])

    assert numbers == ["+14155550100"]
    assert [line for line, _ in bad] == ([3] if cut < 13 else [])


def test_a_long_line_is_not_held() -> None:
    file = File(NDJSON)
    for _ in range(100):
        file.feed(b"x" * 100_000)

    assert len(file._rest) <= LONGEST_LINE + 1


def test_lines_come_in_parts_and_keep_their_numbers() -> None:
    file = File(NDJSON)
    file.feed(b"{}\n" * (AT_ONCE + 1))

    full = file.full
    first = file.part()
    full_again = file.full
    second = file.part()

    assert (full, full_again) == (True, False)
    assert (first.read, first.bad[-1][0]) == (AT_ONCE, AT_ONCE)
    assert (second.read, second.bad[0][0]) == (1, AT_ONCE + 1)


@pytest.mark.parametrize(("media_type", "most"), [(NDJSON, MOST_LINES), (CSV, MOST_LINES + 1)])
def test_a_file_has_a_most_of_lines(media_type: str, most: int) -> None:
    file = File(media_type)
    file.feed(b"\n" * most)

    with pytest.raises(TooManyLines):
        file.feed(b"\n")


def test_csv_without_a_header_is_no_file() -> None:
    with pytest.raises(BadFile, match="names the columns"):
        read(CSV, b"")
