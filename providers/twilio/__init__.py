"""Twilio: what the rest of the product may use of it."""

from providers.twilio.adapter import Twilio
from providers.twilio.callbacks import callback_url, parse_callback, verify_callback

__all__ = ["Twilio", "callback_url", "parse_callback", "verify_callback"]
