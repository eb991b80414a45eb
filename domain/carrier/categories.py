"""Twilio's usage categories: which ones are sums of others, and what each one costs by itself. Pure.

Categories overlap: `totalprice` contains `sms`, which contains `sms-outbound`, and so on. They are
an open set since 2025-09 (Twilio's OpenAPI description, 2.5.0), so which contains which is known
for some and follows from the names for others. Whatever the guess, the parts of a day add up to its
`totalprice`, so that no customer is charged for more than Twilio charges.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TOTAL = "totalprice"
OUTBOUND = ("sms-outbound", "mms-outbound", "usage-rcs")
"""Prefixes of what our own messages are billed as."""
CARRIER_FEES = ("sms-messages-carrierfees", "mms-messages-carrierfees")
"""Billed apart, or within a message's price: Twilio's pages contradict each other."""
FAILED_FEE = "failed-message-processing-fee"
_ONLY = {"sms": ("sms-outbound", "sms-inbound"), "mms": ("mms-outbound", "mms-inbound")}
"""Sums that do not contain everything whose name begins with theirs: fees stand beside them."""
_PARENTS = {
    "a2p-10dlc-registrationfees": "a2p-registration-fees",
    "usage-rcs-basic-messages-outbound": "usage-rcs-messages",
    "usage-rcs-single-messages-outbound": "usage-rcs-messages",
}
"""Categories whose names do not show which sum contains them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What each category of a day costs without those that it contains; a sum's own part is what
    none of its categories explains. They add up to the total.

    `unexplained` is what the total has and no category. `overlapping` are categories that were cut
    since they would exceed the total: each must be part of another one.
    """

    own: Mapping[str, int]
    unexplained: int
    overlapping: tuple[str, ...] = ()


def within(category: str, prefix: str) -> bool:
    """Whether the prefix covers the category; names are divided by hyphens, '' covers all."""
    return prefix in ("", category) or category.startswith(f"{prefix}-")


def parts(prices: Mapping[str, int]) -> Parts:
    """Of the prices of one day by category; without `totalprice`, it is the sum of all parts."""
    own = {category: price for category, price in prices.items() if category != TOTAL}
    for category in list(own):
        above = _parent(category, own)
        if above:
            own[above] -= prices[category]
    for name, micros in own.items():
        if micros < 0 <= prices[name]:
            own[name] = 0  # some of its parts, whichever, are none: they explain it all the same
    return _fitted(own, prices.get(TOTAL, sum(own.values())))


def _parent(category: str, among: Mapping[str, int]) -> str:
    """The smallest sum of those present that contains the category; '' if only the total does."""
    for prefix, above in _PARENTS.items():
        if within(category, prefix) and above in among:
            return above
    containing = [
        each
        for each in among
        if each != category
        and within(category, each)
        and any(within(category, part) for part in _ONLY.get(each, ("",)))
    ]
    return max(containing, key=len, default="")


def _fitted(own: Mapping[str, int], total: int) -> Parts:
    """What exceeds the total is cut from the categories with the shortest names, which are sums
    rather than parts.
    """
    left = total - sum(micros for micros in own.values() if micros < 0)
    kept: dict[str, int] = {}
    overlapping = []
    for name in sorted(own, key=lambda each: (-each.count("-"), each)):
        micros = own[name]
        fits = micros if micros < 0 else max(0, min(micros, left))
        left -= max(0, fits)
        if fits != micros:
            overlapping.append(name)
        if fits:
            kept[name] = fits
    return Parts(own=kept, unexplained=total - sum(kept.values()), overlapping=tuple(overlapping))
