"""By when the seller has to answer a dispute, as the provider's webhook says. Pure.

Stripe: `evidence_details.due_by` of a dispute, in seconds since 1970 (docs.stripe.com/api/disputes/object).
PayPal: `seller_response_due_date` (developer.paypal.com/docs/api/customer-disputes/v1). Without an answer
by then the dispute is lost.
"""

import json
from datetime import UTC, datetime
from typing import Any

from domain.billing.subscription import Provider


def answer_by(provider: Provider, body: bytes) -> datetime | None:
    """None: the webhook does not name it."""
    try:
        event = json.loads(body)
        if provider is Provider.STRIPE:
            return datetime.fromtimestamp(
                event["data"]["object"]["evidence_details"]["due_by"], UTC
            )
        due = datetime.fromisoformat(_text(event["resource"]["seller_response_due_date"]))
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return None
    return due.astimezone(UTC) if due.tzinfo else due.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
