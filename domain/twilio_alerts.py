"""What the alerts about Twilio's prices and parent accounts mean."""

from collections.abc import Mapping

from domain.alert_kinds import AlertKind
from domain.alert_meanings import Meaning, Severity

PRICES_AND_PARENTS: Mapping[AlertKind, Meaning] = {
    AlertKind.RATE_BELOW_COST: Meaning(
        about="Twilio charges more for a segment to these countries than a rate has: each message "
        "there costs you money. Raise the rate, or set it again with `below_cost`",
        clears="each rate covers its cost, or may be below it",
    ),
    AlertKind.PRICE_BELOW_COST: Meaning(
        about="Twilio charges more than the organization's `price_per_segment` for a segment to "
        "countries that have no rate: set rates for them, raise the price, set it to null so that only "
        "countries with a rate are sent to, or set `price_below_cost`",
        clears="the next daily comparison finds that it covers each country, or may be below",
    ),
    AlertKind.SENDER_SENDS_RCS: Meaning(
        about="the messaging service that the organization sends by has an RCS sender, so Twilio "
        "would send RCS first, at another price than the customer pays. Its campaigns are parked, "
        "and its messages refused: take that sender out of the pool, set another sender, or set "
        "`price_per_rcs_message` (0 accepts the cost)",
        clears="the next daily inspection finds none, or the sender or that price is set; its "
        "campaigns go on by themselves",
    ),
    AlertKind.BALANCE_LOW: Meaning(
        about="at the speed of the last week a parent account's balance at Twilio lasts a week at "
        "most; at 0 Twilio suspends it with all its subaccounts: add money, or set up Twilio's "
        "automatic recharge",
        clears="it lasts longer, or a day at most",
    ),
    AlertKind.BALANCE_LAST_DAY: Meaning(
        about="the same, and it lasts a day at most: act today",
        clears="it lasts longer",
        severity=Severity.PAGE,
    ),
    AlertKind.PARENT_SUSPENDED: Meaning(
        about="Twilio has suspended a parent account, so it refuses whatever its organizations send: "
        "the balance in the detail is used up, or Twilio's own team stopped the account. Campaigns "
        "wait unpaid and go on by themselves. Add money; Twilio takes five to ten minutes",
        clears="each parent account is active, which is read every 15 minutes",
        severity=Severity.PAGE,
    ),
    AlertKind.SUBACCOUNT_UNKNOWN: Meaning(
        about="Twilio charges for a subaccount that no organization has, so nobody pays for it: "
        "onboard its organization, or close it at Twilio. `tollgate bill` names what it costs",
        clears="none of them has spent for 40 days, or an organization has it",
    ),
}
