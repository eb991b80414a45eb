"""What became of a callback."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class CallbackRecord:
    """One status callback and its result; `status_code` 0 means no response."""

    message_sid: str
    account_sid: str
    status: str
    url: str
    status_code: int
    seconds: float
    tries: int
