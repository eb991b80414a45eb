"""The catalogue of events is whole, and its data is shown as the API shows amounts and times."""

import re

import pytest

from domain.events import catalogue
from domain.events.catalogue import CATALOGUE, Entry, EventType, Field, Kind, shown


def test_every_type_is_described() -> None:
    assert set(CATALOGUE) == set(EventType)
    for type_, entry in CATALOGUE.items():
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", type_)
        assert entry.about
        assert all(field.about for field in entry.fields), type_
        assert len({field.name for field in entry.fields}) == len(entry.fields), type_


def test_data_that_the_catalogue_does_not_promise_is_refused() -> None:
    catalogue.refuse_unknown_keys(EventType.ORGANIZATION_SUSPENDED, {"epoch", "blocks"})

    for keys in ({"epoch"}, {"epoch", "blocks", "cause"}):
        with pytest.raises(ValueError, match=r"organization\.suspended"):
            catalogue.refuse_unknown_keys(EventType.ORGANIZATION_SUSPENDED, keys)


def test_amounts_are_shown_as_decimals_and_times_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = (Field("balance", Kind.MONEY, "what it holds"), Field("at", Kind.TIME, "when"))
    entry = Entry(about="a test", fields=fields)
    monkeypatch.setitem(
        CATALOGUE,
        EventType.ORGANIZATION_SUSPENDED,
        entry,
    )

    assert shown(
        "organization.suspended",
        {"balance_micros": 7_900, "at": "2026-03-02T13:00:00+01:00"},
    ) == {"balance": "0.0079", "at": "2026-03-02T12:00:00Z"}


def test_what_an_older_row_lacks_is_null() -> None:
    assert shown("organization.suspended", {"epoch": 1}) == {"epoch": 1, "blocks": None}


def test_a_type_of_a_later_version_is_shown_as_it_is() -> None:
    assert shown("moon.landed", {"at_micros": 1}) == {"at_micros": 1}
