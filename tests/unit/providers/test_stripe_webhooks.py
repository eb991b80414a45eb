"""Stripe's events as billing events: the meaning and owner of each type, and that no content makes
reading fail.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.events import EventKind, MoneyObject, MoneyReference
from domain.billing.subscription import State
from providers.stripe import API_VERSION
from providers.stripe.snapshots import snapshot
from providers.stripe.webhooks import parse

AT = 1_790_000_000
PARENT = {
    "subscription_details": {"subscription": "sub_1", "metadata": {"organization_id": "acme"}}
}
SUBSCRIPTION = {
    "id": "sub_1",
    "object": "subscription",
    "status": "past_due",
    "metadata": {"organization_id": "acme"},
}
INVOICE = {"id": "in_1", "object": "invoice", "amount_paid": 4900, "parent": PARENT}
REFUND = {"id": "re_1", "object": "refund", "payment_intent": "pi_1", "charge": "ch_1"}
DISPUTE = {"id": "dp_1", "object": "dispute", "payment_intent": "pi_1", "charge": "ch_1"}
TOP_UP = {"id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1"}


def event(event_type: Any, subject: Any, **changed: Any) -> bytes:
    body = {
        "id": "evt_1",
        "object": "event",
        "api_version": API_VERSION,
        "created": AT,
        "type": event_type,
    }
    return json.dumps({**body, "livemode": False, "data": {"object": subject}, **changed}).encode()


def money(kind: MoneyObject, id_: str) -> MoneyReference:
    return MoneyReference(kind=kind, id=id_)


@pytest.mark.parametrize(
    ("event_type", "subject", "kind", "about"),
    [
        ("customer.subscription.created", SUBSCRIPTION, EventKind.SUBSCRIPTION_CREATED, None),
        ("customer.subscription.updated", SUBSCRIPTION, EventKind.CHANGED, None),
        ("customer.subscription.deleted", SUBSCRIPTION, EventKind.CANCELED, None),
        ("customer.subscription.paused", SUBSCRIPTION, EventKind.PAUSED, None),
        ("customer.subscription.resumed", SUBSCRIPTION, EventKind.RESUMED, None),
        ("customer.subscription.trial_will_end", SUBSCRIPTION, EventKind.CHANGED, None),
        ("customer.subscription.pending_update_expired", SUBSCRIPTION, EventKind.CHANGED, None),
        ("customer.subscription.something_new", SUBSCRIPTION, EventKind.CHANGED, None),
        ("invoice.paid", INVOICE, EventKind.PAYMENT_SUCCEEDED, money(MoneyObject.SALE, "in_1")),
        ("invoice.paid", INVOICE | {"amount_paid": 0}, EventKind.PAYMENT_SUCCEEDED, None),
        ("invoice.payment_succeeded", INVOICE, EventKind.IGNORED, None),
        ("invoice.payment_failed", INVOICE, EventKind.PAYMENT_FAILED, None),
        ("invoice.payment_action_required", INVOICE, EventKind.PAYMENT_ACTION_REQUIRED, None),
        ("invoice.marked_uncollectible", INVOICE, EventKind.SUSPENDED, None),
        (
            "checkout.session.completed",
            TOP_UP,
            EventKind.PAYMENT_SUCCEEDED,
            money(MoneyObject.CAPTURE, "pi_1"),
        ),
        (
            "checkout.session.completed",
            TOP_UP | {"payment_status": "unpaid"},
            EventKind.PAYMENT_PENDING,
            money(MoneyObject.CAPTURE, "pi_1"),
        ),
        (
            "checkout.session.async_payment_succeeded",
            TOP_UP,
            EventKind.PAYMENT_SUCCEEDED,
            money(MoneyObject.CAPTURE, "pi_1"),
        ),
        (
            "checkout.session.completed",
            {"id": "cs_1", "mode": "subscription", "subscription": "sub_1"},
            EventKind.CHECKOUT_COMPLETED,
            None,
        ),
        ("refund.created", REFUND, EventKind.REFUNDED, money(MoneyObject.REFUND, "re_1")),
        ("refund.failed", REFUND, EventKind.REFUNDED, money(MoneyObject.REFUND, "re_1")),
        ("charge.refunded", {"id": "ch_1", "amount_refunded": 1}, EventKind.IGNORED, None),
        (
            "charge.dispute.created",
            DISPUTE,
            EventKind.DISPUTE_OPENED,
            money(MoneyObject.DISPUTE, "dp_1"),
        ),
        (
            "charge.dispute.funds_withdrawn",
            DISPUTE,
            EventKind.REVERSED,
            money(MoneyObject.DISPUTE, "dp_1"),
        ),
        (
            "charge.dispute.closed",
            DISPUTE,
            EventKind.DISPUTE_CLOSED,
            money(MoneyObject.DISPUTE, "dp_1"),
        ),
        (
            "radar.early_fraud_warning.created",
            {"id": "issfr_1", "charge": "ch_1"},
            EventKind.FRAUD_WARNING,
            None,
        ),
        ("product.created", {"id": "prod_1"}, EventKind.IGNORED, None),
    ],
)
def test_every_type_has_its_kind_and_names_its_money(
    event_type: str, subject: dict[str, Any], kind: EventKind, about: MoneyReference | None
) -> None:
    billing_event = parse(event(event_type, subject), API_VERSION)

    assert (billing_event.kind, billing_event.money, billing_event.problem) == (kind, about, None)
    assert billing_event.occurred_at == datetime.fromtimestamp(AT, UTC)


def test_a_subscriptions_event_tells_its_state_and_a_failed_invoice_that_it_is_past_due() -> None:
    of_subscription = parse(event("customer.subscription.updated", SUBSCRIPTION), API_VERSION)
    of_invoice = parse(event("invoice.payment_failed", INVOICE), API_VERSION)

    assert of_subscription.snapshot is not None
    assert (of_subscription.snapshot.state, of_subscription.snapshot.as_of) == (
        State.PAST_DUE,
        of_subscription.occurred_at,
    )
    assert of_invoice.snapshot is not None
    assert (of_invoice.snapshot.state, of_invoice.snapshot.outstanding) == (State.PAST_DUE, None)
    assert {
        (parsed_event.subscription_id, parsed_event.custom_id)
        for parsed_event in (of_subscription, of_invoice)
    } == {("sub_1", "acme")}


def test_only_ids_and_status_are_read_from_another_api_version() -> None:
    billing_event = parse(
        event("customer.subscription.updated", SUBSCRIPTION, api_version="2024-06-20"), API_VERSION
    )

    assert billing_event.snapshot is not None
    assert (billing_event.subscription_id, billing_event.problem) == ("sub_1", None)
    assert (billing_event.snapshot.state, billing_event.snapshot.access_until) == (
        State.PAST_DUE,
        None,
    )
    assert billing_event.concern is not None
    assert "2024-06-20" in billing_event.concern


def test_the_whole_subscription_is_read_from_our_api_version() -> None:
    item = {"current_period_start": AT, "current_period_end": AT + 3600}
    subject = {**SUBSCRIPTION, "status": "active", "items": {"data": [item]}}

    billing_event = parse(event("customer.subscription.updated", subject), API_VERSION)

    assert billing_event.snapshot == snapshot(subject, reported_at=billing_event.occurred_at)
    assert billing_event.snapshot.access_until is not None
    assert (billing_event.problem, billing_event.concern) == (None, None)


@pytest.mark.parametrize("event_type", ["invoice.payment_failed", "invoice.overdue"])
def test_an_unpaid_invoice_that_is_of_no_subscription_tells_no_state(event_type: str) -> None:
    of_subscription = parse(event(event_type, INVOICE), API_VERSION)
    of_none = parse(event(event_type, {**INVOICE, "parent": None}), API_VERSION)

    assert of_subscription.snapshot is not None
    assert of_subscription.snapshot.state is State.PAST_DUE
    assert of_none.snapshot is None


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("invoice.paid", INVOICE),
        ("invoice.created", INVOICE),
        ("checkout.session.completed", {"id": "cs_1", "mode": "subscription"}),
    ],
)
def test_an_event_that_only_names_a_subscription_has_no_state(
    event_type: str, subject: dict[str, Any]
) -> None:
    billing_event = parse(event(event_type, subject), API_VERSION)

    assert (billing_event.subscription_id is not None, billing_event.snapshot) == (True, None)


def test_a_checkout_stands_for_its_subscription() -> None:
    subject = {
        "id": "cs_1",
        "mode": "subscription",
        "subscription": "sub_1",
        "client_reference_id": "acme",
    }

    billing_event = parse(event("checkout.session.completed", subject), API_VERSION)

    assert (billing_event.subscription_id, billing_event.custom_id) == ("cs_1", "acme")


@pytest.mark.parametrize(
    ("subject", "payment_id"), [(REFUND, "pi_1"), ({"id": "re_1", "charge": "ch_1"}, "ch_1")]
)
def test_a_refund_names_the_payment_that_it_takes_back(
    subject: dict[str, Any], payment_id: str
) -> None:
    assert parse(event("refund.created", subject), API_VERSION).payment_id == payment_id


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"id": None}, "id"),
        ({"type": None}, "type"),
        ({"data": {}}, "subscription"),
        ({"data": 7}, "subscription"),
    ],
)
def test_a_missing_field_is_a_problem(changed: dict[str, Any], problem: str) -> None:
    billing_event = parse(
        event("customer.subscription.updated", SUBSCRIPTION, **changed), API_VERSION
    )

    assert billing_event.problem == f"missing or unreadable: {problem}"
    assert billing_event.event_id


@pytest.mark.parametrize(
    "raw", [b"", b"no", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000, b'"\\ud800"']
)
def test_invalid_json_is_a_problem_that_names_itself(raw: bytes) -> None:
    billing_event = parse(raw, API_VERSION)

    assert billing_event.problem is not None
    assert (billing_event.event_id[:7], billing_event.kind) == ("sha256:", EventKind.IGNORED)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_TYPES = [
    "customer.subscription.updated",
    "v1.customer.subscription.updated",
    "checkout.session.completed",
    "invoice.paid",
    "refund.created",
    "charge.dispute.created",
]
_fields = st.sampled_from(
    [
        "id",
        "status",
        "items",
        "latest_invoice",
        "parent",
        "metadata",
        "mode",
        "payment_intent",
        "amount_paid",
        "cancel_at",
    ]
)


@given(
    event_type=st.sampled_from(_TYPES),
    subject=st.dictionaries(_fields, _json) | _json,
    changed=st.dictionaries(
        st.sampled_from(["id", "object", "created", "type", "related_object", "data"]), _json
    ),
)
def test_nothing_in_an_event_makes_reading_it_raise(
    event_type: str, subject: Any, changed: dict[str, Any]
) -> None:
    billing_event = parse(event(event_type, subject, **changed), API_VERSION)

    assert billing_event.event_id
    assert "\x00" not in repr(billing_event.custom_id)


@given(raw=st.binary())
def test_no_bytes_make_reading_raise(raw: bytes) -> None:
    assert parse(raw, API_VERSION).problem is not None
