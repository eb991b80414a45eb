"""What Stripe refuses when a Checkout Session is created."""

from simulators.stripe.errors import ApiError
from simulators.stripe.state import LEAST, Json, State, finest

DAY = 24 * 3600


def check_session(body: Json, state: State) -> None:
    mode = body.get("mode")
    line = body.get("line_items", {}).get("0", {})
    if mode not in ("subscription", "payment") or not line or "success_url" not in body:
        raise ApiError(
            400,
            "Missing required param: mode, line_items or success_url.",
            code="parameter_missing",
        )
    price = line.get("price")
    if price is not None and price not in state.objects:
        raise ApiError(400, f"No such price: '{price}'", code="resource_missing")
    data = body.get("subscription_data", {})
    if "trial_end" in data and int(data["trial_end"]) < state.now() + 2 * DAY:
        raise ApiError(400, "The `trial_end` date has to be at least 2 days in the future.")
    if "expires_at" in body and not 1800 <= int(body["expires_at"]) - state.now() <= DAY:
        raise ApiError(
            400,
            "The `expires_at` timestamp must be 30 minutes to 24 hours from Checkout creation.",
        )
    once = line.get("price_data", {})
    minor, currency = int(once.get("unit_amount", 0)), once.get("currency", "usd")
    if mode == "payment" and minor < LEAST.get(currency, 1):
        raise ApiError(
            400,
            "The Checkout Session's total amount due is too small.",
            code="amount_too_small",
        )
    if minor % finest(currency):
        raise ApiError(
            400,
            "Invalid integer: the currency is charged in whole units.",
            code="parameter_invalid_integer",
        )
