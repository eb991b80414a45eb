"""PayPal Subscriptions: what the rest of the product may use of it."""

from providers.paypal.adapter import PayPal
from providers.paypal.certificates import Certificates
from providers.paypal.chains import Trust

__all__ = ["Certificates", "PayPal", "Trust"]
