"""By when a dispute has to be answered, as its webhook says."""

import json
from datetime import UTC, datetime

import pytest

from domain.billing.dispute_deadlines import answer_by
from domain.billing.subscription import Provider

DUE = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
STRIPE = {"data": {"object": {"evidence_details": {"due_by": int(DUE.timestamp())}}}}
PAYPAL = {"resource": {"seller_response_due_date": "2026-05-14T09:30:00.000Z"}}


def test_each_provider_names_it_in_its_own_place() -> None:
    assert answer_by(Provider.STRIPE, json.dumps(STRIPE).encode()) == DUE
    assert answer_by(Provider.PAYPAL, json.dumps(PAYPAL).encode()) == DUE


@pytest.mark.parametrize("provider", list(Provider))
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"data": {"object": {"evidence_details": {"due_by": null}}}}',
        b'{"data": {"object": {"evidence_details": {"due_by": 1e300}}}}',
        b'{"resource": {"seller_response_due_date": 17}}',
        b'{"resource": {"seller_response_due_date": "soon"}}',
    ],
)
def test_a_webhook_without_it_names_none(provider: Provider, body: bytes) -> None:
    assert answer_by(provider, body) is None
