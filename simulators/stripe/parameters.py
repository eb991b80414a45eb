"""The parameters that the API knows, by call: Stripe refuses unknown ones, and properties that
cannot be expanded.

Names are written with dots, without list indexes; `metadata.*` stands for any key.
"""

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.stripe.errors import ApiError
from simulators.stripe.forms import pairs

_PAGE = "limit starting_after ending_before"
_CREATED = "created.gte created.lte created.gt created.lt"
_SESSION = """
    cancel_url client_reference_id customer expires_at metadata.* mode payment_method_collection success_url
    line_items.price line_items.quantity line_items.price_data.currency line_items.price_data.product_data.name
    line_items.price_data.unit_amount payment_intent_data.metadata.* subscription_data.metadata.*
    subscription_data.trial_end
"""
_KNOWN = {
    "POST /checkout/sessions": _SESSION,
    "POST /customers": "email metadata.*",
    "GET /subscriptions": f"{_PAGE} {_CREATED} collection_method customer price status",
    "POST /subscriptions/{id}": "cancel_at_period_end items.id items.price items.quantity metadata metadata.* "
    "pause_collection pause_collection.behavior pause_collection.resumes_at",
    "DELETE /subscriptions/{id}": "cancellation_details.comment cancellation_details.feedback invoice_now prorate",
    "POST /subscriptions/{id}/pause": "bill_for.* invoicing_behavior type",
    "POST /subscriptions/{id}/resume": "billing_cycle_anchor payment_behavior proration_behavior proration_date",
    "GET /invoices": f"{_PAGE} {_CREATED} customer status subscription",
    "POST /invoices/{id}/pay": "forgive off_session paid_out_of_band payment_method",
    "GET /invoice_payments": f"{_PAGE} {_CREATED} invoice payment.payment_intent payment.type status",
    "POST /refunds": "amount charge metadata.* payment_intent reason",
    "GET /events": f"{_PAGE} {_CREATED} delivery_success type types",
}
_EXPANDABLE = {
    "/checkout/sessions": "payment_intent subscription subscription.latest_invoice",
    "/subscriptions": "customer latest_invoice",
    "/invoices": "customer payments",
    "/invoice_payments": "invoice payment.payment_intent",
    "/payment_intents": "customer latest_charge",
    "/refunds": "charge payment_intent",
    "/disputes": "charge payment_intent",
    "/charges": "payment_intent",
}


def checked(route: Route) -> Route:
    """Raises `ApiError` for the first parameter, expansion or limit that the call does not accept."""

    async def answer(request: Request) -> Response:
        body = (await request.body()).decode()
        _check(
            request.method,
            route.path.removeprefix("/v1"),
            body if request.method == "POST" else request.url.query,
        )
        response: Response = await route.endpoint(request)
        return response

    return Route(route.path, answer, methods=list(route.methods or ()))


def _check(method: str, path: str, encoded: str) -> None:
    call = f"{method} {path}"
    allowed = frozenset(_KNOWN.get(call, "").split())
    for name, value in pairs(encoded):
        dotted = ".".join(part for part in name if part and not part.isdigit())
        if dotted == "expand":
            _check_expansion(path, value, listed=method == "GET" and call in _KNOWN)
        elif not allowed.intersection(_patterns(dotted)):
            raise ApiError(400, f"Received unknown parameter: {dotted}", code="parameter_unknown")
        elif dotted == "limit" and not (value.isdigit() and 1 <= int(value) <= 100):
            raise ApiError(
                400, "This value must be between 1 and 100.", code="parameter_invalid_integer"
            )


def _patterns(dotted: str) -> Iterator[str]:
    yield dotted
    while "." in dotted:
        dotted = dotted.rpartition(".")[0]
        yield f"{dotted}.*"


def _check_expansion(path: str, wanted: str, *, listed: bool) -> None:
    collection = next((name for name in _EXPANDABLE if path.startswith(name)), "")
    name = wanted.removeprefix("data.") if listed else wanted
    if (listed and name == wanted) or name not in _EXPANDABLE.get(collection, "").split():
        raise ApiError(400, f"This property cannot be expanded ({wanted}).")
