"""A Stripe subscription as a snapshot: its state, the end of the paid period, and whether it will
bill another one.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.billing.subscription import State
from domain.money import Money
from providers.stripe.snapshots import of_checkout, snapshot

START, END = 1_787_400_000, 1_790_000_000
PAID = {"id": "in_1", "status": "paid", "amount_paid": 4900}
FREE = {"id": "in_0", "status": "paid", "amount_paid": 0}
OWED = {
    "id": "in_2",
    "status": "open",
    "amount_remaining": 4900,
    "currency": "usd",
    "attempt_count": 2,
}


def subscription(**changed: Any) -> dict[str, Any]:
    items = {"data": [{"current_period_start": START, "current_period_end": END}]}
    return {"id": "sub_1", "status": "active", "items": items, "latest_invoice": PAID} | changed


def paused_by(reason: str | None) -> dict[str, Any]:
    return {
        "paused": {
            "type": "subscription",
            "subscription": {"type": reason},
            "transitioned_at": START,
        }
    }


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("incomplete", State.PENDING),
        ("incomplete_expired", State.CANCELED),
        ("trialing", State.TRIALING),
        ("active", State.ACTIVE),
        ("past_due", State.PAST_DUE),
        ("unpaid", State.SUSPENDED_NONPAYMENT),
        ("canceled", State.CANCELED),
        ("paused", State.PAUSED),
        ("hibernating", State.UNKNOWN),
        ("Active", State.UNKNOWN),
        ("", State.UNKNOWN),
        (None, State.UNKNOWN),
        (7, State.UNKNOWN),
    ],
)
def test_every_status_has_its_state_and_a_new_one_is_unknown(status: Any, state: State) -> None:
    parsed = snapshot(subscription(status=status), reported_at=None)

    assert (parsed.state, parsed.raw_status) == (state, status if isinstance(status, str) else "")


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("pause_requested", State.PAUSED),
        ("trial_end_without_payment_method", State.PAUSED),
        ("system", State.PAUSED),
        ("first_payment_failure", State.SUSPENDED_NONPAYMENT),
        ("final_payment_failure", State.SUSPENDED_NONPAYMENT),
        ("something_new", State.PAUSED),
        (None, State.PAUSED),
    ],
)
def test_a_pause_means_what_its_reason_says(reason: str | None, state: State) -> None:
    assert (
        snapshot(
            subscription(status="paused", status_details=paused_by(reason)), reported_at=None
        ).state
        is state
    )


def test_a_reason_of_an_earlier_pause_means_nothing_any_more() -> None:
    document = subscription(status="active", status_details=paused_by("final_payment_failure"))

    assert snapshot(document, reported_at=None).state is State.ACTIVE


@pytest.mark.parametrize("behavior", ["void", "keep_as_draft", "mark_uncollectible"])
def test_a_subscription_that_is_not_collected_for_is_active(behavior: str) -> None:
    document = subscription(pause_collection={"behavior": behavior, "resumes_at": None})

    assert snapshot(document, reported_at=None).state is State.ACTIVE


def moment(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)


@pytest.mark.parametrize(
    ("changed", "until"),
    [
        ({}, END),
        ({"status": "trialing"}, END),
        ({"status": "trialing", "latest_invoice": None, "trial_end": END + 9}, END + 9),
        ({"status": "past_due", "latest_invoice": OWED}, None),
        ({"status": "unpaid", "latest_invoice": OWED}, None),
        ({"status": "active", "latest_invoice": {"status": "open", "attempt_count": 0}}, None),
        ({"status": "canceled"}, END),
        ({"status": "canceled", "latest_invoice": OWED}, None),
        ({"status": "canceled", "latest_invoice": {"status": "void"}}, None),
        ({"status": "canceled", "latest_invoice": "in_1"}, None),  # as in an event
        ({"status": "canceled", "latest_invoice": FREE, "trial_end": END + 9}, END + 9),
        ({"status": "canceled", "latest_invoice": FREE}, END),
        ({"items": {}}, None),
    ],
)
def test_it_is_paid_until_the_end_of_the_period_whose_invoice_was_paid(
    changed: dict[str, Any], until: int | None
) -> None:
    """None: the answer does not show it, and the recorded time stays."""
    parsed = snapshot(subscription(**changed))

    assert parsed.paid_until == moment(until)


@pytest.mark.parametrize(
    ("changed", "owes"),
    [
        ({}, False),
        ({"latest_invoice": PAID | {"status": "void"}}, False),
        ({"latest_invoice": OWED | {"status": "uncollectible"}}, False),
        ({"latest_invoice": FREE}, None),  # a trial, or a credit: nothing was paid
        (
            {"latest_invoice": FREE | {"attempt_count": 2, "total": 4900}},
            False,
        ),  # credit notes covered all of it
        ({"latest_invoice": FREE | {"attempt_count": 0, "total": 4900}}, None),
        ({"latest_invoice": FREE | {"attempt_count": 1, "total": 0}}, None),
        ({"latest_invoice": OWED}, None),
        ({"latest_invoice": "in_1"}, None),
        ({"status": "trialing", "latest_invoice": FREE}, None),
        ({"status": "past_due", "latest_invoice": OWED}, True),
        ({"status": "past_due"}, True),
        ({"status": "unpaid", "latest_invoice": {"status": "draft"}}, True),
        ({"status": "paused", "status_details": paused_by("final_payment_failure")}, True),
        ({"status": "paused", "status_details": paused_by("pause_requested")}, False),
        ({"status": "paused", "latest_invoice": OWED}, True),
        ({"status": "canceled", "latest_invoice": OWED}, True),
        ({"status": "canceled", "latest_invoice": OWED | {"status": "void"}}, None),
        ({"status": "incomplete", "latest_invoice": OWED}, None),
    ],
)
def test_it_owes_until_its_newest_invoice_is_settled(
    changed: dict[str, Any], owes: bool | None
) -> None:
    assert snapshot(subscription(**changed)).owes is owes


ASKED_AT = datetime.fromtimestamp(START + 99, UTC)


def unpaid(period_end: int, created: int = START + 1, id_: str = "in_7") -> dict[str, Any]:
    line = {"period": {"start": period_end - 9, "end": period_end}}
    return OWED | {"id": id_, "created": created, "lines": {"data": [line]}}


@pytest.mark.parametrize(
    ("changed", "failed", "owes"),
    [
        ({}, [], False),
        ({"latest_invoice": FREE}, [], False),  # nothing is open, so all that failed is settled
        ({"latest_invoice": OWED}, [], False),  # it was tried, and did not fail: a bank debit
        ({"status": "trialing", "latest_invoice": FREE}, [], False),
        ({}, [unpaid(START)], True),
        ({"status": "trialing", "latest_invoice": FREE}, [unpaid(START)], True),
        ({"status": "canceled"}, [unpaid(START)], True),
        ({"status": "canceled", "latest_invoice": OWED}, [], None),
        (
            {"status": "paused", "status_details": paused_by("pause_requested")},
            [unpaid(START)],
            True,
        ),
        ({"status": "past_due"}, [], True),
        ({"status": "incomplete", "latest_invoice": OWED}, None, None),
    ],
)
def test_it_owes_while_any_invoice_that_failed_is_open(
    changed: dict[str, Any], failed: Any, owes: bool | None
) -> None:
    parsed = snapshot(subscription(**changed), failed=failed)

    assert parsed.owes is owes
    assert (parsed.state in (State.ACTIVE, State.TRIALING)) is (owes is False)


def test_the_debt_begins_with_the_oldest_invoice_or_when_stripe_took_it_for_settled_now() -> None:
    old, new = unpaid(START, START - 9), unpaid(END, START + 1, "in_2")

    def failed_at(fields: dict[str, Any], *failed: dict[str, Any]) -> datetime | None:
        return snapshot(fields, queried_at=ASKED_AT, failed=failed).failed_at

    assert failed_at(subscription(status="past_due", latest_invoice=new), old, new) == moment(
        START - 9
    )
    assert failed_at(subscription(status="canceled", latest_invoice=new), old, new) == moment(
        START - 9
    )
    assert failed_at(subscription(), old) == ASKED_AT


def test_an_older_unpaid_invoice_takes_nothing_from_a_later_period_that_is_paid() -> None:
    assert snapshot(subscription(), failed=[unpaid(START)]).paid_until == moment(END)
    assert snapshot(subscription(), failed=[unpaid(END)]).paid_until is None


def test_it_is_as_new_as_the_newest_thing_that_it_shows() -> None:
    queried_at = datetime.fromtimestamp(END, UTC)
    paid = PAID | {
        "created": START + 1,
        "status_transitions": {"finalized_at": START + 2, "paid_at": START + 3},
    }

    assert snapshot(subscription(), queried_at=queried_at).as_of == moment(START)
    assert snapshot(subscription(latest_invoice=paid), queried_at=queried_at).as_of == moment(
        START + 3
    )
    assert snapshot(subscription(latest_invoice=paid)).paid_at == moment(START + 3)
    assert snapshot(subscription(ended_at=START + 9), queried_at=queried_at).as_of == moment(
        START + 9
    )
    assert snapshot(subscription(created=END + 9999), queried_at=queried_at).as_of == moment(START)
    # an event has its own time
    assert snapshot(subscription(latest_invoice=paid), reported_at=queried_at).as_of == queried_at


@pytest.mark.parametrize(
    ("status", "outstanding", "failed"),
    [
        ("open", Money(49_000_000, "USD"), 2),
        ("uncollectible", Money(49_000_000, "USD"), 2),
        ("draft", None, 0),
        ("void", None, 0),
    ],
)
def test_the_debt_is_the_newest_payable_invoice(
    status: str, outstanding: Money | None, failed: int
) -> None:
    parsed = snapshot(
        subscription(status="past_due", latest_invoice=OWED | {"status": status}), reported_at=None
    )

    assert (parsed.outstanding, parsed.failed_payments) == (outstanding, failed)


@pytest.mark.parametrize(
    ("fields", "cancels"),
    [
        ({}, False),
        ({"cancel_at_period_end": False, "cancel_at": None}, False),
        ({"cancel_at_period_end": True}, True),
        ({"cancel_at": END}, True),
        ({"cancel_at": END - 1}, True),
        ({"cancel_at": END + 1}, False),
    ],
)
def test_it_cancels_if_it_ends_with_the_period(fields: dict[str, Any], cancels: bool) -> None:
    assert snapshot(subscription(**fields), reported_at=None).cancels is cancels


def test_the_reason_of_a_cancellation_is_read() -> None:
    fields = {
        "status": "canceled",
        "cancellation_details": {"comment": "mig:1", "reason": "cancellation_requested"},
    }

    assert snapshot(fields, reported_at=None).note == "mig:1"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("open", State.PENDING),
        ("complete", State.PENDING),
        ("expired", State.EXPIRED),
        ("new", State.UNKNOWN),
        (None, State.UNKNOWN),
    ],
)
def test_a_checkout_without_its_subscription_bills_nobody(status: str | None, state: State) -> None:
    parsed = of_checkout(
        {"id": "cs_1", "status": status, "client_reference_id": "acme"}, reported_at=None
    )

    assert (parsed.state, parsed.custom_id, parsed.subscription_id) == (state, "acme", None)


def test_a_checkout_with_its_subscription_is_that() -> None:
    parsed = of_checkout(
        {
            "id": "cs_1",
            "status": "complete",
            "client_reference_id": "acme",
            "subscription": subscription(),
        },
        reported_at=None,
    )

    assert (parsed.state, parsed.custom_id, parsed.subscription_id) == (
        State.ACTIVE,
        "acme",
        "sub_1",
    )


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"status": [], "items": [], "latest_invoice": 7},
        {"items": {"data": {}}, "status_details": "x", "metadata": []},
        {"items": {"data": [7, None, {"current_period_end": "soon"}]}, "cancel_at": 10**20},
        {
            "status": "past_due",
            "latest_invoice": {"status": "open", "amount_remaining": "1", "attempt_count": -3},
        },
    ],
)
def test_nonsense_is_read_without_an_exception(nonsense: dict[str, Any]) -> None:
    parsed = snapshot(nonsense, reported_at=None)

    assert (parsed.access_until, parsed.outstanding, parsed.custom_id) == (None, None, None)
