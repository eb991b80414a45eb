"""Stripe Billing: what the rest of the product may use of it."""

from providers.stripe.adapter import API_VERSION, Stripe
from providers.stripe.subscriptions import SuspendBy

__all__ = ["API_VERSION", "Stripe", "SuspendBy"]
