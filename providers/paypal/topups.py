"""One-time payments by PayPal's Orders v2: created for approval, captured once approved.

Source: PayPal's OpenAPI `checkout_orders_v2.json`; create and capture honor `PayPal-Request-Id`.
"""

from uuid import uuid4

from domain.billing.events import MoneyObject, Payment
from domain.money import MICROS, BadAmount, Money, to_decimal_string
from providers.billing import TopUp, TopUpLink
from providers.errors import NotFound, ProviderRefused, ProviderUnavailable
from providers.paypal import payments, reading
from providers.paypal.calls import Calls, segment
from providers.paypal.reading import Json

_ORDERS = "/v2/checkout/orders"
_WITHOUT_DECIMALS = frozenset({"HUF", "JPY", "TWD"})
_MEANWHILE = frozenset({"ORDER_ALREADY_CAPTURED", "ORDER_NOT_APPROVED"})
_DECLINED = frozenset(
    {
        "INSTRUMENT_DECLINED",
        "PAYER_ACTION_REQUIRED",
        "PAYER_CANNOT_PAY",
        "PAYER_ACCOUNT_RESTRICTED",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        "TRANSACTION_REFUSED",
        "TRANSACTION_LIMIT_EXCEEDED",
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
    }
)
"""The order does not change: its payer may choose another way to pay."""
_BAD_AMOUNT = frozenset(
    {
        "CANNOT_BE_ZERO_OR_NEGATIVE",
        "CURRENCY_NOT_SUPPORTED",
        "CURRENCY_NOT_SUPPORTED_FOR_COUNTRY",
        "DECIMAL_PRECISION",
        "DECIMALS_NOT_SUPPORTED",
        "INVALID_CURRENCY_CODE",
        "MAX_VALUE_EXCEEDED",
    }
)


def money(amount: Money) -> Json:
    """PayPal's format: two decimals, or none in some currencies. Raises `BadAmount` for anything
    finer.
    """
    step = MICROS if amount.currency in _WITHOUT_DECIMALS else MICROS // 100
    if amount.micros % step:
        raise BadAmount(f"PayPal does not accept so many decimals: {amount}")
    value = to_decimal_string(amount.micros)
    return {
        "currency_code": amount.currency,
        "value": value.removesuffix(".00") if step == MICROS else value,
    }


async def create(
    calls: Calls,
    *,
    organization_id: str,
    amount: Money,
    return_url: str,
    cancel_url: str,
    idempotency_key: str,
) -> TopUpLink:
    unit = {"custom_id": organization_id, "amount": money(amount), "description": "Top-up"}
    context = {
        "return_url": return_url,
        "cancel_url": cancel_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
    }
    body = {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }
    try:
        order = await calls.post(_ORDERS, body, idempotency_key=idempotency_key)
    except ProviderRefused as refused:
        if refused.code in _BAD_AMOUNT:
            raise BadAmount(
                f"PayPal does not accept a payment of {amount}: {refused.code}"
            ) from refused
        raise
    id_, url = (
        reading.text(order, "id"),
        reading.link(order, "payer-action") or reading.link(order, "approve"),
    )
    if id_ is None or url is None:
        raise ProviderUnavailable("PayPal created an order without an id or a link to approve it")
    return TopUpLink(checkout_id=id_, url=url)


async def settle(calls: Calls, order_id: str) -> TopUp:
    try:
        order = await calls.get(_path(order_id))
        if reading.text(order, "status") == "APPROVED":
            await _capture(calls, order_id)
            order = await calls.get(_path(order_id))
    except NotFound:
        return TopUp(open=False)  # PayPal deletes an unapproved order after some hours
    captured = [
        id_
        for unit in reading.parts(order, "purchase_units")
        for capture in reading.parts(reading.part(unit, "payments"), "captures")
        if (id_ := reading.text(capture, "id")) is not None
    ]
    if not captured:
        return TopUp(open=reading.text(order, "status") != "VOIDED")
    return TopUp(open=False, payment=await get(calls, captured[0]))


async def get(calls: Calls, capture_id: str) -> Payment:
    return payments.payment(
        MoneyObject.CAPTURE, await calls.get(f"/v2/payments/captures/{segment(capture_id)}")
    )


async def _capture(calls: Calls, order_id: str) -> None:
    """Each attempt has its own key: PayPal repeats its first response to a known key, so a payer
    whose card was declined could never pay with another card. PayPal captures an order only once
    (`ORDER_ALREADY_CAPTURED`), which prevents a double capture.
    """
    try:
        await calls.post(f"{_path(order_id)}/capture", {}, idempotency_key=str(uuid4()))
    except ProviderRefused as refused:
        if refused.code not in _MEANWHILE | _DECLINED:
            raise


def _path(order_id: str) -> str:
    return f"{_ORDERS}/{segment(order_id)}"
