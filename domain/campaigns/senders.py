"""The forms of senders that Twilio knows. Pure."""

import re

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SHORT_CODE = re.compile(r"[0-9]{3,6}", re.ASCII)
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}", re.ASCII)
_ALPHANUMERIC = re.compile(r"(?=.{1,11}\Z)(?=.*[A-Za-z])[!-9;-~](?:[ -9;-~]*[!-9;-~])?", re.ASCII)
"""Without a colon: a colon makes it the address of another channel, such as `rcs:acme`."""
FORMS = (
    "a phone number in E.164 (+15550001000), a short code (3 to 6 digits), an alphanumeric sender id (up to 11 ASCII"
    " characters with at least one letter, no colon), or a messaging service's sid (MG and 32 hex digits)"
)


def is_service(sender: str) -> bool:
    return _SERVICE.fullmatch(sender) is not None


def is_sender(text: str) -> bool:
    """Whether Twilio accepts senders of this form.

    Source for alphanumeric senders: Twilio's "Permitted Sender ID characters".
    """
    return any(form.fullmatch(text) for form in (_NUMBER, _SHORT_CODE, _SERVICE, _ALPHANUMERIC))
