"""The reference is generated from the code, and up to date."""

import pytest

from api.app import create_app
from tests.docs.pages import name
from tools import command_page, lifecycle, reference, settings_page


def test_the_generated_pages_are_up_to_date() -> None:
    assert [name(page) for page in reference.stale()] == [], "run python -m tools.reference"


def test_every_route_stands_in_the_api_reference_with_what_it_needs() -> None:
    page = reference.api()

    for path, methods in create_app().openapi()["paths"].items():
        for method, operation in methods.items():
            [_, rest] = page.split(f"### `{method.upper()} {path}`\n")
            section = rest.partition("###")[0]
            assert ("Needs a key" in section) == bool(operation["security"]), path


def test_every_setting_is_described() -> None:
    for line in settings_page.settings_page().splitlines():
        if line.startswith("| `TOLLGATE_"):
            assert line.split("|")[3].strip(), line


def test_every_command_and_option_is_described() -> None:
    for line in command_page.cli().splitlines():
        if line.startswith("| `--"):
            assert line.split("|")[2].strip(), line


def test_a_page_that_lost_its_place_for_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="states"):
        lifecycle.filled("# A page without markers")


def test_every_heading_of_the_api_reference_is_unique() -> None:
    headings = [line.lower() for line in reference.api().splitlines() if line.startswith("#")]
    titles = [heading.lstrip("#").strip(" `") for heading in headings]

    assert [title for title in set(titles) if titles.count(title) > 1] == []
