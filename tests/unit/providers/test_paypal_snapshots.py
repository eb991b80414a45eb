"""One function translates a PayPal subscription, whether it comes from a GET or an event."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.billing.subscription import State
from domain.money import Money
from providers.paypal.snapshots import snapshot


def subscription(status: str = "ACTIVE", **billing: Any) -> dict[str, Any]:
    return {"id": "I-1", "status": status, "custom_id": "org_1", "billing_info": billing}


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


def cycle(tenure: str, completed: int, remaining: int = 0) -> dict[str, Any]:
    return {
        "tenure_type": tenure,
        "sequence": 1,
        "cycles_completed": completed,
        "cycles_remaining": remaining,
    }


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
    parsed = snapshot(subscription(status))

    assert (parsed.state, parsed.raw_status) == (state, status)


@pytest.mark.parametrize(
    ("billing", "state"),
    [
        ({"failed_payments_count": 1}, State.PAST_DUE),
        ({"outstanding_balance": usd("0.01")}, State.PAST_DUE),
        ({"outstanding_balance": usd("0.0"), "failed_payments_count": 0}, State.ACTIVE),
        (
            {
                "last_failed_payment": {
                    "time": "2026-12-01T10:00:00Z",
                    "reason_code": "PAYMENT_DENIED",
                }
            },
            State.PAST_DUE,
        ),
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
def test_the_meaning_of_active_depends_on_the_debt(billing: dict[str, Any], state: State) -> None:
    assert snapshot(subscription(**billing)).state is state


@pytest.mark.parametrize(
    "reason", ["PAYEE_ACCOUNT_RESTRICTED", "PAYEE_ACCOUNT_LOCKED", "INTERNAL_SERVER_ERROR"]
)
def test_a_failure_that_is_not_the_customers_does_not_make_it_past_due(reason: str) -> None:
    failure = {"time": "2026-12-01T10:00:00Z", "reason_code": reason}

    parsed = snapshot(
        subscription(
            last_failed_payment=failure, failed_payments_count=1, outstanding_balance=usd("49.00")
        )
    )

    assert parsed.state is State.ACTIVE
    assert parsed.failed_payments == 1


@pytest.mark.parametrize(
    "billing",
    [
        {"failed_payments_count": 2},
        {"outstanding_balance": usd("98.00")},
        {"failed_payments_count": "2"},
    ],
)
def test_suspended_with_money_missing_is_nonpayment(billing: dict[str, Any]) -> None:
    assert snapshot(subscription("SUSPENDED", **billing)).state is State.SUSPENDED_NONPAYMENT


START, PAID_AT, NEXT = "2026-11-01T10:00:00Z", "2026-11-01T10:04:01Z", "2026-12-01T10:00:00Z"
PAYMENT = {"amount": usd("49.0"), "time": PAID_AT}


def plan(unit: str = "MONTH", count: int = 1, *, trial: str | None = None) -> dict[str, Any]:
    cycles = [
        {"tenure_type": "REGULAR", "frequency": {"interval_unit": unit, "interval_count": count}}
    ]
    if trial is not None:
        cycles.append(
            {"tenure_type": "TRIAL", "frequency": {"interval_unit": trial, "interval_count": 1}}
        )
    return {"id": "P-1", "billing_cycles": cycles}


def on_plan(status: str, plan_: dict[str, Any] | None = None, **billing: Any) -> dict[str, Any]:
    return subscription(status, **billing) | {"start_time": START, "plan": plan_ or plan()}


MARCH_1, MARCH_31 = "2027-03-01T10:00:00", "2027-03-31T10:00:00"
AT_MONTHS_END, IN_FEBRUARY = {"time": "2027-01-31T10:00:00Z"}, {"time": "2027-02-28T10:00:00Z"}
OWING: dict[str, Any] = {"outstanding_balance": usd("49.00"), "failed_payments_count": 1}
OUR_FAULT = OWING | {"last_failed_payment": {"time": NEXT, "reason_code": "PAYEE_ACCOUNT_LOCKED"}}
FORGIVEN: dict[str, Any] = {
    "outstanding_balance": usd("0.0"),
    "failed_payments_count": 2,
    "last_failed_payment": {"time": "2026-12-01T10:00:01Z", "reason_code": "PAYMENT_DENIED"},
    "last_payment": PAYMENT,
}
RETRIED = FORGIVEN | {
    "failed_payments_count": 0,
    "last_failed_payment": FORGIVEN["last_failed_payment"]
    | {"next_payment_retry_time": "2026-12-06T10:00:00Z"},
}
GIVEN_UP = FORGIVEN | {"failed_payments_count": 0}
AGAIN = {"status_update_time": "2026-12-02T10:00:00Z"}
MOVED_ON: dict[str, Any] = {"last_payment": PAYMENT, "next_billing_time": "2027-01-01T10:00:00Z"}
PAID_TRIAL: dict[str, Any] = {"last_payment": PAYMENT, "cycle_executions": [cycle("TRIAL", 1)]}


@pytest.mark.parametrize(
    ("fields", "until"),
    [
        (on_plan("ACTIVE", last_payment=PAYMENT, next_billing_time=NEXT), "2026-12-01T10:00:00"),
        (on_plan("ACTIVE", last_payment=PAYMENT, next_billing_time="2027-02-01T10:00:00Z"), "2026-12-01T10:04:01"),
        (on_plan("ACTIVE", last_payment=AT_MONTHS_END, next_billing_time=MARCH_1 + "Z"), MARCH_1),
        (on_plan("ACTIVE", last_payment=IN_FEBRUARY, next_billing_time=MARCH_31 + "Z"), MARCH_31),
        (on_plan("ACTIVE", last_payment=PAYMENT, next_billing_time=PAID_AT), "2026-12-01T10:04:01"),  # not moved yet
        (on_plan("ACTIVE", last_payment=PAYMENT), "2026-12-01T10:04:01"),  # the last cycle of its plan
        (on_plan("EXPIRED", last_payment=PAYMENT), "2026-12-01T10:04:01"),
        (on_plan("CANCELLED", plan("YEAR"), last_payment=PAYMENT), "2027-11-01T10:04:01"),
        (on_plan("CANCELLED", plan("WEEK", 2), last_payment=PAYMENT), "2026-11-15T10:04:01"),
        (on_plan("CANCELLED", plan("DAY"), last_payment=PAYMENT), "2026-11-02T10:04:01"),
        (on_plan("ACTIVE", **MOVED_ON, **OWING), "2026-12-01T10:04:01"),
        (on_plan("SUSPENDED", **MOVED_ON), "2026-12-01T10:04:01"),
        (on_plan("ACTIVE", next_billing_time=NEXT), None),  # the first payment is still missing
        (on_plan("ACTIVE", next_billing_time=START), "2026-11-01T10:00:00"),  # its agreed start is later
        (on_plan("CANCELLED", next_billing_time=START), None),
        (on_plan("ACTIVE", next_billing_time=NEXT, cycle_executions=[cycle("TRIAL", 1)]), "2026-12-01T10:00:00"),
        (on_plan("CANCELLED", plan(trial="WEEK"), **PAID_TRIAL), "2026-11-08T10:04:01"),
        (subscription("ACTIVE", last_payment=PAYMENT, next_billing_time=NEXT), "2026-12-01T10:00:00"),
        (subscription("CANCELLED", last_payment=PAYMENT), None),  # without its plan the interval is unknown
    ],
)  # fmt: skip
def test_it_is_paid_for_an_interval_from_the_last_payment(
    fields: dict[str, Any], until: str | None
) -> None:
    expected = None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC)

    assert snapshot(fields).paid_until == expected


@pytest.mark.parametrize(
    ("fields", "owes"),
    [
        (subscription("ACTIVE", last_payment=PAYMENT), False),
        (subscription("SUSPENDED", last_payment=PAYMENT), False),
        (subscription("ACTIVE", **OWING), True),
        (subscription("SUSPENDED", **OWING), True),
        (subscription("CANCELLED", **OWING), True),
        (subscription("ACTIVE", last_failed_payment={"time": NEXT}, last_payment=PAYMENT), True),
        (subscription("ACTIVE", **OUR_FAULT), None),
        (subscription("SUSPENDED", **OUR_FAULT), None),
        (subscription("ACTIVE", **FORGIVEN), False),  # counted, so only the merchant can have set the balance to zero
        (subscription("ACTIVE", **FORGIVEN) | AGAIN, False),
        (subscription("SUSPENDED", **FORGIVEN) | AGAIN, False),
        (subscription("ACTIVE", **RETRIED), True),  # it is retried before it is counted
        (subscription("ACTIVE", **RETRIED) | AGAIN, True),  # suspended manually, and activated: nothing was paid
        (subscription("SUSPENDED", **RETRIED) | AGAIN, True),
        (subscription("ACTIVE", **RETRIED) | {"status_update_time": "2026-12-20T10:00:00Z"}, True),
        (subscription("ACTIVE", **RETRIED | {"failed_payments_count": 1}) | AGAIN, True),  # an earlier one was counted
        (subscription("ACTIVE", **GIVEN_UP) | AGAIN, True),
        (subscription("ACTIVE", **GIVEN_UP | {"last_payment": {"time": "2026-12-02T10:00:00Z"}}), False),
        ({"id": "I-1", "status": "APPROVAL_PENDING"}, None),
        ({"id": "I-1", "status": "CANCELLED"}, None),
    ],
)  # fmt: skip
def test_it_owes_while_money_of_the_customers_is_missing(
    fields: dict[str, Any], owes: bool | None
) -> None:
    assert snapshot(fields).owes is owes


def test_a_reported_next_charge_is_used_as_it_is_and_gives_the_start_of_the_period() -> None:
    parsed = snapshot(on_plan("ACTIVE", last_payment=PAYMENT, next_billing_time=NEXT))
    ended = snapshot(on_plan("CANCELLED", last_payment=PAYMENT))

    assert (parsed.reckoned, ended.reckoned) == (False, True)
    assert parsed.paid_from == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert ended.paid_from == ended.paid_at


def test_as_of_is_the_newest_of_the_providers_times() -> None:
    parsed = snapshot(
        subscription(
            last_payment={"time": "2026-11-03T10:00:00Z"},
            last_failed_payment={"time": "2026-11-02T10:00:00+02:00"},
        )
        | {
            "status_update_time": "2026-11-01T10:00:00Z",
            "update_time": "month 19",
            "create_time": "2026-12-01T00:00:00Z",
        }
    )

    assert parsed.as_of == datetime(2026, 11, 3, 10, tzinfo=UTC)


def test_the_creation_counts_only_where_there_is_no_other_time() -> None:
    bare = subscription() | {"create_time": "2026-11-01T10:00:00Z"}
    reported_at = datetime(2026, 11, 23, tzinfo=UTC)

    assert snapshot(bare).as_of == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert snapshot(bare, reported_at=reported_at).as_of == reported_at


def test_a_snapshot_has_paid_until_debt_and_organization() -> None:
    parsed = snapshot(
        subscription(next_billing_time="2026-12-01T10:00:00Z", outstanding_balance=usd("98.00"))
    )

    assert parsed.access_until == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert parsed.outstanding == Money(98_000_000, "USD")
    assert parsed.custom_id == "org_1"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("Active", State.ACTIVE),
        ("Suspended", State.SUSPENDED_NONPAYMENT),
        ("Cancelled", State.CANCELED),
    ],
)
def test_an_agreement_of_the_first_api_is_understood(state: str, expected: State) -> None:
    owed = (
        {"currency": "USD", "value": "10.00"}
        if state == "Suspended"
        else {"currency": "USD", "value": "0.00"}
    )
    agreement = {"id": "I-1", "state": state, "agreement_details": {"outstanding_balance": owed}}

    assert snapshot(agreement).state is expected


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"status": None, "billing_info": []},
        {
            "status": 7,
            "billing_info": {"outstanding_balance": "1", "cycle_executions": {}, "last_payment": 3},
        },
        {
            "status": "ACTIVE",
            "billing_info": {"outstanding_balance": usd("1e9"), "failed_payments_count": -1},
        },
        {"status": "ACTIVE", "custom_id": "a\x00b", "update_time": "0001-01-01T00:00:00+23:59"},
    ],
)
def test_nonsense_is_read_without_an_exception(nonsense: dict[str, Any]) -> None:
    parsed = snapshot(nonsense)

    assert parsed.as_of is None
    assert parsed.state in (State.UNKNOWN, State.ACTIVE)
    assert parsed.custom_id is None
