"""The origins of PayPal's API: live, sandbox, and those that serve its signing certificates."""

from urllib.parse import urlsplit

PAYPAL_LIVE = "https://api-m.paypal.com"
PAYPAL_SANDBOX = "https://api-m.sandbox.paypal.com"
PAYPAL_CERTIFICATES = (
    "https://api.paypal.com",
    PAYPAL_LIVE,
    "https://api.sandbox.paypal.com",
    PAYPAL_SANDBOX,
)
"""Certificates are served by both generations of the API's names."""


def paypal_is_live(base_url: str) -> bool | None:
    """None at a simulator."""
    host = urlsplit(base_url).hostname or ""
    if not host.endswith(".paypal.com"):
        return None
    return not host.endswith(".sandbox.paypal.com")
