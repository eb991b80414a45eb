"""Every decision has a record of one page with four parts, and is in the list."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, name

RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PARTS = ["Context", "Decision", "Consequences", "Alternatives"]
ONE_PAGE = 60


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_a_record_has_its_four_parts_on_one_page(record: Path) -> None:
    text = record.read_text(encoding="utf-8")

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    assert len(text.splitlines()) <= ONE_PAGE


def test_records_are_numbered_without_a_gap_and_listed_in_their_order() -> None:
    listed = re.findall(
        r"\((\d{4}-[\w-]+\.md)\)",
        (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8"),
    )

    assert listed == [record.name for record in RECORDS]
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
