"""The POST that creates a message, without the SDK: its header and its form."""

from base64 import b64encode
from collections.abc import Mapping

from domain.campaigns import senders
from domain.campaigns.telephony import OutboundMessage


def basic_credentials(account_sid: str, token: str) -> Mapping[str, str]:
    credentials = b64encode(f"{account_sid}:{token}".encode()).decode()
    return {"authorization": f"Basic {credentials}"}


def message_form(message: OutboundMessage) -> Mapping[str, str]:
    by_service = senders.is_service(message.sender)
    return {
        "To": message.to,
        "MessagingServiceSid" if by_service else "From": message.sender,
        "Body": message.body,
        "StatusCallback": message.status_callback,
        "ValidityPeriod": str(message.validity_seconds),
    }
