"""Twilio: what the rest of the product may use of it."""

from providers.twilio.adapter import Twilio
from providers.twilio.callbacks import (
    Params,
    callback_url,
    form_of,
    parse_callback,
    verify_callback,
)

__all__ = ["Params", "Twilio", "callback_url", "form_of", "parse_callback", "verify_callback"]
