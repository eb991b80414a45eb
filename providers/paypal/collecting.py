"""Captures a subscription's outstanding balance, and determines the result: PayPal may accept the
request without returning it.

Source: PayPal's OpenAPI `billing_subscriptions_v1.json`: 200 with the transaction or 202 without a
body, and the issues named here. PayPal keeps a PayPal-Request-Id for 72 hours; after that the same
one would charge again.
"""

from datetime import UTC, datetime, timedelta

from domain.billing.events import MoneyObject, Payment, PaymentStatus
from domain.money import Money
from providers.billing import Collected
from providers.errors import NotAccepted, ProviderRefused, WrongState
from providers.paypal import payments, reading, topups
from providers.paypal.calls import Calls, between

_KEY_KEPT_FOR = timedelta(hours=71)
_CLOCKS_DIFFER = timedelta(minutes=1)
_PAYER_CANNOT_PAY = frozenset(
    {"SUBSCRIBER_ACCOUNT_LOCKED", "SUBSCRIBER_ACCOUNT_CLOSED", "SUBSCRIBER_ACCOUNT_RESTRICTED"}
)
_NOTHING_TO_COLLECT = {
    "ZERO_OUTSTANDING_BALANCE": "nothing is outstanding",
    "AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE": "less than that is outstanding",
    "SUBSCRIPTION_STATUS_INVALID": "PayPal collects for a subscription that is active, suspended or expired only",
}


async def collect(
    calls: Calls, path: str, amount: Money, *, idempotency_key: str, since: datetime
) -> Collected:
    """`path` is the subscription's."""
    if datetime.now(UTC) - since > _KEY_KEPT_FOR:
        found = await _find(calls, path, amount, since)
        if found is None:
            raise WrongState(
                "the key was first used three days ago, and PayPal no longer keeps it: use a "
                "new one"
            )
        return Collected.by(found)
    body = {
        "note": "Outstanding balance",
        "capture_type": "OUTSTANDING_BALANCE",
        "amount": topups.money(amount),
    }
    try:
        answer = await calls.post(f"{path}/capture", body, idempotency_key=idempotency_key)
    except ProviderRefused as refused:
        return await _refused(calls, path, amount, since, refused)
    if reading.text(answer, "id") is not None:
        return Collected.by(payments.payment(MoneyObject.SALE, answer))
    found = await _find(calls, path, amount, since)
    return (
        Collected(status=PaymentStatus.PENDING, amount=amount)
        if found is None
        else Collected.by(found)
    )


async def _refused(
    calls: Calls, path: str, amount: Money, since: datetime, refused: ProviderRefused
) -> Collected:
    if refused.code in _PAYER_CANNOT_PAY:
        return Collected(status=PaymentStatus.DECLINED, amount=amount)
    if refused.code == "CURRENCY_MISMATCH":
        raise NotAccepted(
            f"the subscription is not in {amount.currency}",
            code=refused.code,
            reference=refused.reference,
        ) from refused
    if refused.code not in _NOTHING_TO_COLLECT:
        raise refused
    # this attempt may have succeeded and lost its response
    found = await _find(calls, path, amount, since)
    if found is None:
        problem = _NOTHING_TO_COLLECT[refused.code]
        raise WrongState(problem, code=refused.code, reference=refused.reference) from refused
    return Collected.by(found)


async def _find(calls: Calls, path: str, amount: Money, since: datetime) -> Payment | None:
    """The first payment of the amount since the attempt: the list names no key."""
    period = between(
        since - _CLOCKS_DIFFER, min(since + _KEY_KEPT_FOR, datetime.now(UTC) + _CLOCKS_DIFFER)
    )
    answer = await calls.get(f"{path}/transactions", period)
    listed = [
        payments.payment(MoneyObject.SALE, transaction)
        for transaction in reading.parts(answer, "transactions")
    ]
    found = [
        payment
        for payment in listed
        if payment.amount == amount and payment.occurred_at is not None
    ]
    return min(found, key=lambda payment: (payment.occurred_at, payment.reference.id), default=None)
