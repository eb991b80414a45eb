"""A PayPal subscription is read into our words by one function, whether a GET or an event told it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.money import Money
from domain.subscription import State
from providers.paypal.snapshots import snapshot


def subscription(status: str = "ACTIVE", **billing: Any) -> dict[str, Any]:
    return {"id": "I-1", "status": status, "custom_id": "org_1", "billing_info": billing}


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


def cycle(tenure: str, completed: int, remaining: int = 0) -> dict[str, Any]:
    return {"tenure_type": tenure, "sequence": 1, "cycles_completed": completed, "cycles_remaining": remaining}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("APPROVAL_PENDING", State.PENDING),
        ("APPROVED", State.PENDING),
        ("ACTIVE", State.ACTIVE),
        ("SUSPENDED", State.PAUSED),
        ("CANCELLED", State.CANCELED),
        ("EXPIRED", State.EXPIRED),
        ("HIBERNATING", State.UNKNOWN),
        ("", State.UNKNOWN),
    ],
)
def test_a_status_alone(status: str, state: State) -> None:
    told = snapshot(subscription(status))

    assert (told.state, told.raw_status) == (state, status)


@pytest.mark.parametrize(
    ("billing", "state"),
    [
        ({"failed_payments_count": 1}, State.PAST_DUE),
        ({"outstanding_balance": usd("0.01")}, State.PAST_DUE),
        ({"outstanding_balance": usd("0.0"), "failed_payments_count": 0}, State.ACTIVE),
        ({"last_failed_payment": {"time": "2026-12-01T10:00:00Z", "reason_code": "PAYMENT_DENIED"}}, State.PAST_DUE),
        (
            {
                "last_failed_payment": {"time": "2026-12-01T10:00:00Z"},
                "last_payment": {"time": "2026-12-02T10:00:00Z", "amount": usd("49")},
            },
            State.ACTIVE,
        ),
        ({"cycle_executions": [cycle("TRIAL", 0, 1), cycle("REGULAR", 0)]}, State.TRIALING),
        ({"cycle_executions": [cycle("TRIAL", 1), cycle("REGULAR", 1)]}, State.ACTIVE),
        ({"cycle_executions": [cycle("REGULAR", 0)]}, State.ACTIVE),
        ({"cycle_executions": [cycle("TRIAL", 1)], "failed_payments_count": 1}, State.PAST_DUE),
    ],
)
def test_what_active_means_depends_on_the_money(billing: dict[str, Any], state: State) -> None:
    assert snapshot(subscription(**billing)).state is state


@pytest.mark.parametrize("reason", ["PAYEE_ACCOUNT_RESTRICTED", "PAYEE_ACCOUNT_LOCKED", "INTERNAL_SERVER_ERROR"])
def test_a_failure_that_is_not_the_customers_does_not_make_it_past_due(reason: str) -> None:
    failure = {"time": "2026-12-01T10:00:00Z", "reason_code": reason}

    told = snapshot(
        subscription(last_failed_payment=failure, failed_payments_count=1, outstanding_balance=usd("49.00"))
    )

    assert told.state is State.ACTIVE
    assert told.failed_payments == 1


@pytest.mark.parametrize(
    "billing", [{"failed_payments_count": 2}, {"outstanding_balance": usd("98.00")}, {"failed_payments_count": "2"}]
)
def test_suspended_with_money_missing_is_nonpayment(billing: dict[str, Any]) -> None:
    assert snapshot(subscription("SUSPENDED", **billing)).state is State.SUSPENDED_NONPAYMENT


def test_as_of_is_the_newest_of_the_providers_times() -> None:
    told = snapshot(
        subscription(
            last_payment={"time": "2026-11-03T10:00:00Z"}, last_failed_payment={"time": "2026-11-02T10:00:00+02:00"}
        )
        | {
            "status_update_time": "2026-11-01T10:00:00Z",
            "update_time": "month 19",
            "create_time": "2026-12-01T00:00:00Z",
        }
    )

    assert told.as_of == datetime(2026, 11, 3, 10, tzinfo=UTC)


def test_the_creation_counts_only_where_there_is_no_other_time() -> None:
    bare = subscription() | {"create_time": "2026-11-01T10:00:00Z"}
    told_at = datetime(2026, 11, 23, tzinfo=UTC)

    assert snapshot(bare).as_of == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert snapshot(bare, told_at=told_at).as_of == told_at


def test_paid_until_owed_and_whose_it_is() -> None:
    told = snapshot(subscription(next_billing_time="2026-12-01T10:00:00Z", outstanding_balance=usd("98.00")))

    assert told.access_until == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert told.outstanding == Money(98_000_000, "USD")
    assert told.custom_id == "org_1"


@pytest.mark.parametrize(
    ("state", "expected"),
    [("Active", State.ACTIVE), ("Suspended", State.SUSPENDED_NONPAYMENT), ("Cancelled", State.CANCELED)],
)
def test_an_agreement_of_the_first_api_is_understood(state: str, expected: State) -> None:
    owed = {"currency": "USD", "value": "10.00"} if state == "Suspended" else {"currency": "USD", "value": "0.00"}
    agreement = {"id": "I-1", "state": state, "agreement_details": {"outstanding_balance": owed}}

    assert snapshot(agreement).state is expected


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"status": None, "billing_info": []},
        {"status": 7, "billing_info": {"outstanding_balance": "1", "cycle_executions": {}, "last_payment": 3}},
        {"status": "ACTIVE", "billing_info": {"outstanding_balance": usd("1e9"), "failed_payments_count": -1}},
        {"status": "ACTIVE", "custom_id": "a\x00b", "update_time": "0001-01-01T00:00:00+23:59"},
    ],
)
def test_nonsense_is_read_without_an_exception(nonsense: dict[str, Any]) -> None:
    told = snapshot(nonsense)

    assert told.as_of is None
    assert told.state in (State.UNKNOWN, State.ACTIVE)
    assert told.custom_id is None
