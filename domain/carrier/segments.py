"""What a customer owes, or gets back, where Twilio counted other segments than we did. Pure."""

from domain.campaigns.telephony import WENT_OUT, SentMessage

_OTHER_CHANNELS = ("rcs:", "whatsapp:", "messenger:")


def counted(message: SentMessage) -> int | None:
    """The segments that Twilio billed; None: not known for good, or it is no SMS.

    The count is final with the price. An MMS or an RCS message counts as one, whatever its length.
    """
    by_sms = not message.media and not any(
        sender.startswith(_OTHER_CHANNELS) for sender in message.senders
    )
    final = message.outbound and message.status in WENT_OUT and message.price is not None
    return message.segments if by_sms and final else None


def difference(price_micros: int, ours: int, theirs: int) -> int:
    """Above 0 to be charged, below 0 to be returned, at the price of the message's own segments. 0:
    it was not priced by the segment.
    """
    per_segment, rest = divmod(price_micros, ours)
    return 0 if rest else per_segment * (theirs - ours)
