"""Why a message would be refused now, in words that may be shown to the customer. Pure."""

from dataclasses import dataclass

from domain.campaigns.rate_card import RateCard
from domain.lifecycle.standing import Standing, in_words
from domain.money import Money
from domain.wallet.ledger import Wallet


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` is a block's name, or `recovery`, `reactivating`, `frozen`, `no_rate` or
    `insufficient_funds`.

    `text` may be shown to the customer: its words are fixed, and no operator's note is in it.
    """

    code: str
    text: str


def reasons(standing: Standing, wallet: Wallet, card: RateCard) -> list[Reason]:
    """The reasons in the order in which a debit checks them: fence, gate, freeze, balance. The balance
    must cover the cheapest segment.
    """
    fenced = [Reason("recovery", "sending is stopped while records are checked")]
    refusals = fenced if wallet.fenced else []
    refusals += [Reason(block.value, in_words(block)) for block in sorted(standing.blocks)]
    if not refusals and not wallet.gate_open:
        refusals.append(Reason("reactivating", "the reactivation has not reached the wallet yet"))
    if wallet.frozen_by_operator:
        refusals.append(Reason("frozen", "an operator froze the wallet"))
    elif wallet.frozen and not refusals:
        refusals.append(Reason("frozen", "the wallet is frozen by a suspension"))
    price = card.cheapest
    if price is None:
        refusals.append(
            Reason("no_rate", "no country has a rate, and there is no price for all countries")
        )
    elif wallet.available_micros < price.micros:
        left = Money(wallet.available_micros, wallet.currency)
        has = f"has {left} available" if wallet.held_micros else f"holds {left}"
        refusals.append(Reason("insufficient_funds", f"the wallet {has}, a segment costs {price}"))
    return refusals
