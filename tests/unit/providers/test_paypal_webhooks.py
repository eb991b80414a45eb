"""Every delivery becomes a billing event; `problem` describes what could not be parsed; nothing is
raised.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.events import EventKind, MoneyObject, MoneyReference
from domain.billing.subscription import State
from providers.paypal.webhooks import parse

HEADERS = {"paypal-transmission-id": "t-1"}
SUBSCRIPTION = {
    "id": "I-1",
    "status": "ACTIVE",
    "custom_id": "org_1",
    "update_time": "2026-11-01T10:04:02Z",
}
SALE = {
    "id": "44P",
    "state": "completed",
    "billing_agreement_id": "I-1",
    "amount": {"total": "49", "currency": "USD"},
}


def event(event_type: str, resource: Any, /, **change: Any) -> bytes:
    envelope = {
        "id": "WH-1",
        "create_time": "2026-11-01T10:04:11.688Z",
        "event_type": event_type,
        "resource_type": "whatever",
        "resource": resource,
    }
    return json.dumps(envelope | change).encode()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CREATED", EventKind.SUBSCRIPTION_CREATED),
        ("ACTIVATED", EventKind.ACTIVATED),
        ("RE-ACTIVATED", EventKind.ACTIVATED),
        ("UPDATED", EventKind.CHANGED),
        ("SUSPENDED", EventKind.SUSPENDED),
        ("CANCELLED", EventKind.CANCELED),
        ("EXPIRED", EventKind.EXPIRED),
        ("PAYMENT.FAILED", EventKind.PAYMENT_FAILED),
        ("SOMETHING.NEW", EventKind.CHANGED),
    ],
)
def test_a_subscription_event_says_where_to_look_and_what_it_saw(
    name: str, kind: EventKind
) -> None:
    billing_event = parse(event(f"BILLING.SUBSCRIPTION.{name}", SUBSCRIPTION), HEADERS)

    assert (
        billing_event.kind,
        billing_event.subscription_id,
        billing_event.custom_id,
        billing_event.problem,
    ) == (
        kind,
        "I-1",
        "org_1",
        None,
    )
    assert (billing_event.event_id, billing_event.transmission_id) == ("WH-1", "t-1")
    assert billing_event.snapshot is not None
    assert billing_event.snapshot.state is State.ACTIVE
    assert billing_event.snapshot.as_of == datetime(2026, 11, 1, 10, 4, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event_type", "kind", "money"),
    [
        ("PAYMENT.SALE.COMPLETED", EventKind.PAYMENT_SUCCEEDED, MoneyObject.SALE),
        ("PAYMENT.SALE.PENDING", EventKind.PAYMENT_PENDING, MoneyObject.SALE),
        ("PAYMENT.SALE.DENIED", EventKind.PAYMENT_FAILED, MoneyObject.SALE),
        ("PAYMENT.SALE.REFUNDED", EventKind.REFUNDED, MoneyObject.REFUND),
        ("PAYMENT.SALE.REVERSED", EventKind.REVERSED, MoneyObject.REFUND),
        ("PAYMENT.CAPTURE.COMPLETED", EventKind.PAYMENT_SUCCEEDED, MoneyObject.CAPTURE),
        ("PAYMENT.CAPTURE.DECLINED", EventKind.PAYMENT_FAILED, MoneyObject.CAPTURE),
        ("PAYMENT.CAPTURE.REFUNDED", EventKind.REFUNDED, MoneyObject.REFUND),
    ],
)
def test_a_money_event_names_the_object_to_ask_for(
    event_type: str, kind: EventKind, money: MoneyObject
) -> None:
    billing_event = parse(event(event_type, SALE), HEADERS)

    assert billing_event.kind is kind
    assert billing_event.money == MoneyReference(kind=money, id="44P")
    assert billing_event.subscription_id == "I-1"
    assert billing_event.snapshot is None
    assert billing_event.problem is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CREATED", EventKind.DISPUTE_OPENED),
        ("UPDATED", EventKind.DISPUTE_OPENED),
        ("RESOLVED", EventKind.DISPUTE_CLOSED),
    ],
)
def test_a_dispute_names_itself(name: str, kind: EventKind) -> None:
    resource = {
        "dispute_id": "PP-D-1",
        "disputed_transactions": [{"seller_transaction_id": "44P", "custom": "org_1"}],
    }

    billing_event = parse(event(f"CUSTOMER.DISPUTE.{name}", resource), HEADERS)

    assert (billing_event.kind, billing_event.money) == (
        kind,
        MoneyReference(kind=MoneyObject.DISPUTE, id="PP-D-1"),
    )
    assert billing_event.custom_id == "org_1"


@pytest.mark.parametrize(
    "event_type", ["CATALOG.PRODUCT.CREATED", "BILLING.PLAN.UPDATED", "PAYMENT.SALE.NEW", "X"]
)
def test_an_event_that_does_not_concern_us_is_ignored_without_a_problem(event_type: str) -> None:
    billing_event = parse(event(event_type, {}), HEADERS)

    assert (billing_event.kind, billing_event.money, billing_event.problem) == (
        EventKind.IGNORED,
        None,
        None,
    )


def test_month_19_is_no_time_and_everything_else_is_read() -> None:
    billing_event = parse(
        event(
            "BILLING.SUBSCRIPTION.SUSPENDED",
            SUBSCRIPTION | {"status": "SUSPENDED"},
            create_time="2018-19-12T22:20:32Z",
        ),
        HEADERS,
    )

    assert billing_event.occurred_at is None
    assert (billing_event.problem, billing_event.occurred_at) == (None, None)
    assert (billing_event.kind, billing_event.subscription_id) == (EventKind.SUSPENDED, "I-1")
    assert billing_event.snapshot is not None
    assert billing_event.snapshot.state is State.PAUSED


def test_an_agreement_of_the_first_api_is_a_subscription() -> None:
    agreement = {"id": "I-1", "state": "Suspended", "description": "plan"}

    billing_event = parse(
        event("BILLING.SUBSCRIPTION.SUSPENDED", agreement, resource_type="Agreement"), HEADERS
    )

    assert billing_event.subscription_id == "I-1"
    assert billing_event.snapshot is not None
    assert billing_event.snapshot.as_of == billing_event.occurred_at


def test_a_sale_without_its_agreement_is_no_problem() -> None:
    billing_event = parse(event("PAYMENT.SALE.COMPLETED", {"id": "44P"}), HEADERS)

    assert (billing_event.subscription_id, billing_event.problem) == (None, None)


@pytest.mark.parametrize(
    ("change", "resource", "problem"),
    [
        ({"id": None}, SUBSCRIPTION, "event_id"),
        ({"event_type": None}, SUBSCRIPTION, "event_type"),
        ({}, {"status": "ACTIVE"}, "resource_id"),
        ({}, None, "resource_id"),
    ],
)
def test_a_missing_field_is_a_problem(change: dict[str, Any], resource: Any, problem: str) -> None:
    billing_event = parse(event("BILLING.SUBSCRIPTION.ACTIVATED", resource, **change), HEADERS)

    assert billing_event.problem == f"missing or unreadable: {problem}"
    assert billing_event.event_id == ("t-1" if problem == "event_id" else "WH-1")


def test_a_money_event_without_its_object_is_a_problem() -> None:
    assert (
        parse(event("PAYMENT.SALE.COMPLETED", {}), HEADERS).problem
        == "missing or unreadable: money_id"
    )


@pytest.mark.parametrize(
    "raw", [b"", b"no", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000, b'"\\ud800"']
)
def test_invalid_json_is_a_problem(raw: bytes) -> None:
    billing_event = parse(raw, HEADERS)

    assert billing_event.problem is not None
    assert billing_event.event_id == "t-1"
    assert billing_event.kind is EventKind.IGNORED


def test_without_any_id_the_body_names_itself() -> None:
    assert parse(b"no", {}).event_id.startswith("sha256:")


@pytest.mark.parametrize("id_", ["a\x00b", "\ud800", "x" * 300, 7, {}])
def test_an_id_that_cannot_be_stored_is_missing(id_: Any) -> None:
    billing_event = parse(event("BILLING.SUBSCRIPTION.ACTIVATED", SUBSCRIPTION, id=id_), HEADERS)

    assert billing_event.event_id == "t-1"
    assert billing_event.problem == "missing or unreadable: event_id"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_fields = st.sampled_from(
    [
        "id",
        "status",
        "state",
        "billing_info",
        "amount",
        "create_time",
        "update_time",
        "custom_id",
        "dispute_id",
    ]
)


@given(
    event_type=st.sampled_from(
        ["BILLING.SUBSCRIPTION.SUSPENDED", "PAYMENT.SALE.REFUNDED", "CUSTOMER.DISPUTE.CREATED"]
    ),
    resource=st.dictionaries(_fields, _json) | _json,
    change=st.dictionaries(st.sampled_from(["id", "create_time", "event_type"]), _json),
)
def test_nothing_in_an_event_makes_reading_it_raise(
    event_type: str, resource: Any, change: dict[str, Any]
) -> None:
    billing_event = parse(event(event_type, resource, **change), HEADERS)

    assert billing_event.event_id
    assert "\x00" not in repr(billing_event.custom_id)


@given(raw=st.binary())
def test_no_bytes_make_reading_raise(raw: bytes) -> None:
    assert parse(raw, {}).problem is not None
