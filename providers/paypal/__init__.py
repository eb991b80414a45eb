"""PayPal Subscriptions: what the rest of the product may use of it."""

from providers.paypal.adapter import PayPal
from providers.paypal.certificates import LIVE_AND_SANDBOX, Certificates
from providers.paypal.chains import Trust

__all__ = ["LIVE_AND_SANDBOX", "Certificates", "PayPal", "Trust"]
