"""How a message that Twilio refused or failed is treated, by Twilio's error code: one table.

A message that Twilio refused, or failed before it left, costs at most a tenth of a cent and is
refunded; one that a carrier accepted and could not deliver is billed by Twilio, and is not
refunded. Sources: Twilio's "Error and Warning Dictionary" (twilio.com/docs/api/errors), which marks
the codes of messages, and its pages "Failed message processing fee" and "How Twilio charges for
undelivered messages".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.campaigns.telephony import DeliveryStatus

SEVERAL = 5
"""After this many refusals in a row that may be due to the sender or the account, they are
attributed to it.
"""


class About(StrEnum):
    """What a code is about, and so what it affects besides the one message."""

    RECIPIENT = "recipient"
    DESTINATION = "destination"
    CONTENT = "content"
    SENDER = "sender"
    ACCOUNT = "account"
    REQUEST = "request"
    WAIT = "wait"
    UNKNOWN = "unknown"


STOPS = frozenset({About.CONTENT, About.SENDER, About.ACCOUNT, About.REQUEST})
"""Every other message of the campaign would be refused for the same reason: one refusal stops
it.
"""
STOPS_IN_A_ROW = frozenset({About.DESTINATION, About.UNKNOWN})
"""May concern one message or all: several refusals in a row stop the campaign."""


class Failure(StrEnum):
    """Why a message failed, as far as the treatment differs."""

    ACCOUNT_SUSPENDED = "account_suspended"
    ACCOUNT_RESTRICTED = "account_restricted"
    SENDER = "sender"
    REQUEST = "request"
    CONTENT = "content"
    FILTERED = "filtered"
    LIMIT = "limit"
    QUEUE = "queue"
    NOT_PERMITTED = "not_permitted"
    OPTED_OUT = "opted_out"
    WRONG_NUMBER = "wrong_number"
    UNREACHABLE = "unreachable"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """`refund_undelivered`: refunded even if a carrier accepted it. `again`: it is paid and sent
    once more when the account may send.

    `opt_out`: the recipient is recorded, and skipped by later campaigns.
    """

    about: About
    refund_undelivered: bool = False
    again: bool = False
    opt_out: bool = False


REMEDIES = {
    Failure.ACCOUNT_SUSPENDED: Remedy(about=About.ACCOUNT, refund_undelivered=True, again=True),
    Failure.ACCOUNT_RESTRICTED: Remedy(about=About.ACCOUNT),
    Failure.SENDER: Remedy(about=About.SENDER),
    Failure.REQUEST: Remedy(about=About.REQUEST),
    Failure.CONTENT: Remedy(about=About.CONTENT),
    Failure.FILTERED: Remedy(about=About.CONTENT),
    Failure.LIMIT: Remedy(about=About.WAIT),
    Failure.QUEUE: Remedy(about=About.WAIT, refund_undelivered=True),
    Failure.NOT_PERMITTED: Remedy(about=About.DESTINATION),
    Failure.OPTED_OUT: Remedy(about=About.RECIPIENT, refund_undelivered=True, opt_out=True),
    Failure.WRONG_NUMBER: Remedy(about=About.RECIPIENT),
    Failure.UNREACHABLE: Remedy(about=About.RECIPIENT),
    Failure.OTHER: Remedy(about=About.UNKNOWN),
}
_TABLE: dict[Failure, tuple[int | range, ...]] = {
    Failure.ACCOUNT_SUSPENDED: (10001, 20005, 20403, 21472, 30002, 90010),
    # a trial account, a disabled feature, no such account, an invalid token
    Failure.ACCOUNT_RESTRICTED: (
        10002, 14111, 20003, 20006, 20008, 20010, range(20101, 20108), range(20151, 20161), 20404, 21219, 21267,
        21470, 21471, 21607, 21608, 21622, 30037, 30044, 30108, 30112, 63020,
    ),
    # not our number, not able to send, a service without senders, not registered, not verified
    Failure.SENDER: (
        14102, 14108, 21210, 21212, 21213, 21264, 21407, 21601, 21603, 21606, 21616, 21621, 21657, range(21659, 21662),
        range(21663, 21669), 21701, 21702, 21704, 21705, range(21708, 21716), 21717, 21719, 21720, 21729, 21731, 21733,
        21910, range(30032, 30036), 30042, range(30124, 30128), range(30437, 30450), 30451, 30452, range(30455, 30500),
        range(30501, 30532), 63001, 63002, 63007, 63008, 63022, 63035,
    ),
    # from Tollgate or its settings, such as its public address
    Failure.REQUEST: (
        400, 403, 404, 11100, 14104, 14105, 20001, 20002, 20004, 20007, 20011, 20012, 20410, 20412, 20413, 20422, 20423,
        20426, 21205, 21209, 21402, 21403, 21420, 21456, 21502, 21604, 21609, 21624, 21626, 21627, 21653,
        range(21900, 21903), 30012, 30013, 30015, 30016, range(30028, 30032), 30045, range(30100, 30103), 30106, 30107,
        30109, range(30116, 30124), range(30128, 30138), 30140, 30400, 30404, 30700, range(35111, 35128), 63011, 63030,
    ),
    Failure.CONTENT: (
        14103, 21602, 21605, 21617, 21618, 21619, 21620, 21623, 21652, 21654, 21655, 21656, 21658, 30010, 30019, 30103,
        30110, 30111, 30139, 63005, 63006, 63013, 63016, 63019, 63021, 63025, 63026, 63027, 63028, 63029, 63034, 63037,
        range(63040, 63044),
    ),
    Failure.FILTERED: (30007, 30038),
    Failure.LIMIT: (
        14107, 14109, 20162, 20409, 20429, 21611, 30017, 30022, 30023, 30025, 30026, 30027, 30454, 60728, 63017, 63018,
        63038, 63039,
    ),
    # a failure at Twilio, or a full queue
    Failure.QUEUE: (
        410, 503, 12400, 20500, 20503, 20504, 21730, 30001, 30020, 30021, 30036, 30410, 30500, 63009, 63010, 63012,
        63023,
    ),
    # this sender or account may not send to this country or network
    Failure.NOT_PERMITTED: (21203, 21215, 21408, 21612, 21662, 21703, 30018, 30024, 30040, 30041, 30043, 30450),
    Failure.OPTED_OUT: (21610, 30630, 63033),
    Failure.WRONG_NUMBER: (
        14101, 20023, 21211, 21214, 21217, 21265, 21266, 21268, 21401, 21421, 21614, 21635, 30005, 30006, 30014, 63003,
        63015, 63024, 63031,
    ),
    Failure.UNREACHABLE: (
        30003, 30004, 30008, 30009, 30011, 30039, 30046, 30453, 30610, 30615, 30620, 30640, 63014, 63032, 63036,
    ),
}  # fmt: skip


def _each(codes: Iterable[int | range]) -> Iterable[int]:
    for code in codes:
        yield from (code if isinstance(code, range) else (code,))


CODES = {code: failure for failure, codes in _TABLE.items() for code in _each(codes)}
NO_FEE = frozenset({
    12400, 20500, 20504, 21408, 30002, 30008, 30036, 30103, 30450, 30454, 30500, 63010, 63012, 63038, 90010,
})  # fmt: skip
"""A failed message with one of these costs nothing, with any other Twilio's fee for failed messages
(its support article 27502337507483); who pays that is a policy of its usage category.
"""
_NEVER_LEFT = frozenset({DeliveryStatus.FAILED, DeliveryStatus.CANCELED})
_A_MINUTE, _AN_HOUR = 60.0, 3600.0
_LASTING_LIMITS = frozenset({30023, 30027, 30454, 60728, 63038})
"""Limits per hour or per day: they still apply a minute later."""
_TOO_MANY_REQUESTS = 20429


def remedy(code: int | None) -> Remedy:
    return REMEDIES[CODES.get(code or 0, Failure.OTHER)]


def about(code: int | None) -> About:
    return remedy(code).about


def suspended(code: int | None) -> bool:
    """Whether the code says that the account itself is not active."""
    return CODES.get(code or 0) is Failure.ACCOUNT_SUSPENDED


def wait(code: int | None) -> float:
    """Seconds until a retry makes sense, if Twilio does not state it in the refusal."""
    if code not in CODES or code == _TOO_MANY_REQUESTS:
        return 1.0
    return _AN_HOUR if code in _LASTING_LIMITS else _A_MINUTE


def refunded(status: DeliveryStatus, code: int | None) -> bool:
    """Whether the customer gets a refund for a message that ended like this."""
    return status in _NEVER_LEFT or (
        status is DeliveryStatus.UNDELIVERED and remedy(code).refund_undelivered
    )
