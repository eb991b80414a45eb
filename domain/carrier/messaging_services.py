"""What a messaging service may turn a text into, besides the SMS that the customer pays for. Pure.

With an RCS sender in its pool "Programmable Messaging defaults to RCS as the first-attempt channel"
(Twilio's page "Send and receive RCS messages"), at other prices. Its MMS converter concerns media,
which Tollgate does not send. WhatsApp and Messenger senders of a pool are used for their own
addresses only, and messages go to phone numbers. A sticky sender, or a number of another country, changes which number
sends; Twilio's price depends on the destination and on the kind of number, and rates are compared
with the dearest kind.
"""

from collections.abc import Iterable


def rcs_senders(senders: Iterable[str]) -> list[str]:
    return [sender for sender in senders if sender.lower().startswith("rcs:")]


def danger(senders: Iterable[str]) -> str | None:
    """Why it may not send; None: it sends what is paid for."""
    found = rcs_senders(senders)
    if not found:
        return None
    return (
        f"the messaging service has an RCS sender ({', '.join(found)}): Twilio would send RCS at "
        "another price than that of SMS; use a service without one, or set price_per_rcs_message"
    )
