"""What one day costs, category by category: what own messages explain, what the company absorbs and
what the customer owes. Pure; `db/carrier/charges` books the difference to what was booked before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.carrier.categories import CARRIER_FEES, OUTBOUND, TOTAL, parts, within
from domain.carrier.policies import Action, Policy, due
from domain.carrier.usage import UsageRecord

UNEXPLAINED = "Twilio's total has it, and no category"
CUT = "the categories exceed Twilio's total: one of them is part of another"
NO_RATE = "no exchange rate is set for the currency"
NO_PRICE = "Twilio has no price yet"
CREDITED = "the price is below 0: a credit of Twilio's, which the company keeps"
_OWN = (*OUTBOUND, *CARRIER_FEES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Our own messages of a day that the customer paid for. `paid_micros` is Twilio's price of
    them as far as what the customer paid covers it, `below_micros` what it does not, since the rate
    is below cost; both of messages that Twilio has priced.

    `segments` are those of all of them, `unpriced_segments` of those without a price.
    """

    paid_micros: int = 0
    below_micros: int = 0
    segments: int = 0
    unpriced_segments: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """cost = explained + absorbed + what is to be paid, in Twilio's currency; `due_micros` is that
    in the wallet's, with the policy's markup.
    """

    currency: str
    cost_micros: int
    policy: Policy
    explained_micros: int = 0
    absorbed_micros: int = 0
    due_micros: int = 0
    problem: str | None = None


def is_ours(category: str) -> bool:
    """Whether own messages are billed in the category, or may be."""
    return any(within(category, prefix) for prefix in _OWN) and not category.endswith("inbound")


def assess(
    records: Sequence[UsageRecord],
    sent: Sent,
    policy_of: Callable[[str], Policy],
    rate_of: Callable[[str], Decimal | None],
) -> dict[str, Assessed]:
    """Of all records of one day. `rate_of` is the worth of a currency in the wallet's; None: nobody
    has set it.
    """
    if not records:
        return {}
    currency = records[0].currency
    found = parts({each.category: each.price_micros or 0 for each in records})
    by_name = {each.category: each for each in records}
    explained = _explained(found.own, by_name, sent)
    assessed = {
        name: _of(name, cost, by_name[name], explained.get(name, _Explained()), policy_of, rate_of)
        for name, cost in found.own.items()
    }
    for each in records:
        if each.price_micros is None and each.category != TOTAL:
            assessed[each.category] = Assessed(
                currency=currency, cost_micros=0, policy=policy_of(each.category), problem=NO_PRICE
            )
    if found.unexplained or found.overlapping:
        problem = UNEXPLAINED if found.unexplained else f"{CUT} ({', '.join(found.overlapping)})"
        assessed[TOTAL] = Assessed(
            currency=currency,
            cost_micros=found.unexplained,
            policy=Policy(prefix=TOTAL, action=Action.CHARGE),
            problem=problem,
        )
    return assessed


@dataclass(frozen=True, slots=True)
class _Explained:
    paid_micros: int = 0
    below_micros: int = 0


def _of(
    name: str,
    cost: int,
    record: UsageRecord,
    explained: _Explained,
    policy_of: Callable[[str], Policy],
    rate_of: Callable[[str], Decimal | None],
) -> Assessed:
    policy, rate = policy_of(name), rate_of(record.currency)
    left = cost - explained.paid_micros - explained.below_micros
    units = (record.usage or record.count or Decimal(0)) * left / (record.price_micros or 1)
    if rate is None and policy.action is not Action.ABSORB and left > 0:
        absorbed, owed = 0, 0
        problem: str | None = NO_RATE
    else:
        charged = due(left, units, policy, rate or Decimal(1))
        absorbed, owed = charged.absorbed_micros, charged.micros
        problem = CREDITED if cost < 0 else None
    return Assessed(
        currency=record.currency,
        cost_micros=cost,
        policy=policy,
        explained_micros=explained.paid_micros,
        absorbed_micros=absorbed + explained.below_micros,
        due_micros=owed,
        problem=problem,
    )


def _explained(
    own: Mapping[str, int], records: Mapping[str, UsageRecord], sent: Sent
) -> dict[str, _Explained]:
    """Fills the categories of outbound messages, and then the carriers' fees, which some prices
    contain, with what own messages cost.
    """
    names = [
        name
        for prefix in _OWN
        for name in sorted(own)
        if within(name, prefix) and is_ours(name) and own[name] > 0
    ]
    estimated = _of_unpriced(
        [name for name in names if name not in CARRIER_FEES], own, records, sent
    )
    paid, below = sent.paid_micros + estimated, sent.below_micros
    explained = {}
    for name in names:
        by_paid = min(own[name], paid)
        by_below = min(own[name] - by_paid, below)
        paid, below = paid - by_paid, below - by_below
        explained[name] = _Explained(by_paid, by_below)
    return explained


def _of_unpriced(
    names: Sequence[str], own: Mapping[str, int], records: Mapping[str, UsageRecord], sent: Sent
) -> int:
    """What messages that have no price yet account for: all that is not priced, unless Twilio
    counts more segments than we sent. Nobody is charged for a price that is merely late.
    """
    if not sent.unpriced_segments:
        return 0
    cost = sum(own[name] for name in names)
    segments = sum((records[name].usage or Decimal(0) for name in names), Decimal(0))
    foreign = max(Decimal(0), segments - sent.segments)
    share = 1 - foreign / segments if segments else Decimal(1)
    return max(0, int(cost * share) - sent.paid_micros - sent.below_micros)
