"""The simulator's books add up, whatever happened, and whenever one looks."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.categories import LISTED, SUMS
from simulators.twilio.billing.clock import day_of
from simulators.twilio.billing.usage_records import Period, add_up
from simulators.twilio.callbacks import Callbacks
from simulators.twilio.state import State

LEAVES = [*sorted(LISTED.keys() - SUMS), "a-category-that-nobody-listed"]
events = st.lists(
    st.one_of(
        st.tuples(
            st.just("book"),
            st.integers(0, 3),
            st.sampled_from(LEAVES),
            st.one_of(st.none(), st.integers(-50_000, 5_000_000)),
            st.integers(0, 40),
        ),
        st.tuples(st.just("correct"), st.integers(0, 200), st.integers(-1_000, 9_000_000)),
        st.tuples(st.just("pass"), st.integers(1, 40 * 86_400)),
        st.tuples(st.just("fee"), st.integers(0, 3)),
        st.tuples(st.just("status"), st.integers(1, 3), st.sampled_from(["active", "suspended"])),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(events, st.integers(0, 7 * 86_400))
def test_the_total_is_the_sum_of_the_categories_and_of_the_entries(
    history: list[tuple[object, ...]], lag: int
) -> None:
    state = State("AC1", "token")
    billing = Billing(state, Callbacks(state))
    state.behaviour.usage_lag = lag
    accounts = [state.main, *(state.open_account(f"org_{n}") for n in range(3))]
    for event in history:
        match event:
            case ["book", int(n), str(category), price, int(days)]:
                day = state.clock.today() - timedelta(days=days)
                assert price is None or isinstance(price, int)
                state.books.book(accounts[n].sid, category, price, day=day)
            case ["correct", int(n), int(price)] if state.books.entries:
                state.books.correct(n % len(state.books.entries) + 1, price)
            case ["pass", int(seconds)]:
                billing.advance(seconds)
            case ["fee", int(n)]:
                billing.start_fee(accounts[n].sid, "phonenumbers-local", state.new_sid("PN"))
            case ["status", int(n), str(status)]:
                accounts[n].status = status

    as_of = billing.as_of()
    everybody = billing.accounts_of(state.main)
    dates = sorted({entry.day for entry in state.books.entries} | {day_of(as_of)})
    periods = [Period(each, each) for each in dates]
    per_account = [add_up(state.books.of([each.sid], as_of), periods) for each in accounts]
    together = add_up(state.books.of(everybody, as_of), periods)
    for period in periods:
        shown = [
            entry
            for entry in state.books.entries
            if entry.day == period.start and entry.booked_at <= as_of
        ]
        total = sum(entry.price_micros or 0 for entry in shown)
        leaves = sum(
            usage.price_micros
            for (at, name), usage in together.items()
            if at == period and name not in SUMS
        )
        totals = [
            usages[(period, "totalprice")].price_micros
            for usages in (together, *per_account)
            if (period, "totalprice") in usages
        ]
        assert leaves == total
        assert totals[0] == total if totals else total == 0
        assert sum(totals[1:]) == total
    spent = sum(
        entry.price_micros or 0
        for entry in state.books.entries
        if entry.category != "shortcodes"  # charged to the card
    )
    assert state.balance_micros(state.main) == state.behaviour.balance_micros - spent


def test_rent_goes_on_while_the_account_is_suspended_and_ends_when_it_is_closed() -> None:
    state = State("AC1", "token")
    billing = Billing(state, Callbacks(state))
    account = state.open_account("org_1")
    billing.start_fee(account.sid, "phonenumbers-local", "PN1")
    account.status = "suspended"
    billing.advance(62 * 86_400)
    suspended = len(state.books.entries)
    account.status = "closed"
    billing.advance(62 * 86_400)

    assert suspended == 3  # at once, and after each month
    assert len(state.books.entries) == 3


def test_the_clock_begins_in_the_past_only_before_anything_has_happened() -> None:
    state = State("AC1", "token")
    billing = Billing(state, Callbacks(state))
    today = state.clock.today()
    billing.begin(30 * 86_400)
    state.books.book(state.main.sid, "lookups", 5_000)

    assert today - state.books.entries[0].day == timedelta(days=30)
    assert state.main.created <= state.clock.now()
    with pytest.raises(ValueError, match="before anything was booked"):
        billing.begin(1)
