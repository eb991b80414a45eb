"""Builds the passes of the reconciliation: which class does the steps of which subject."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.carrier_passes import CarrierPasses
from activities.audit.differences import Differences
from activities.audit.passes import Passes, Step
from activities.audit.rates_pass import RatesPass
from activities.audit.read_backs import ReadBacks
from activities.audit.reconciliation import Reconciling
from activities.audit.senders_pass import SendersPass
from activities.audit.subscription_comparison import SubscriptionComparison
from activities.audit.twilio_comparison import TwilioComparison
from activities.audit.usage_pass import UsagePass
from activities.carrier.foreign_messages import ForeignMessages
from activities.carrier.tripwires import Tripwires
from activities.notifier import Notifier
from domain.audit.reconciliation import Subject
from domain.billing.subscription import Provider
from providers.billing import BillingProvider
from providers.twilio import Twilio


def passes(
    engine: AsyncEngine,
    providers: Mapping[Provider, BillingProvider],
    twilio: Twilio,
    notifier: Notifier,
    reconciling: Reconciling,
    tripwires: Tripwires,
) -> Passes:
    carrier = CarrierPasses(engine, tripwires)
    steps: dict[Subject, Step] = {
        Subject.AUDIT: reconciling.audit,
        Subject.PRICES: reconciling.record_prices,
        Subject.MESSAGES: reconciling.settle_unknown_messages,
        Subject.WAITING: reconciling.notify_waiting,
        Subject.FOREIGN: carrier.find_foreign_messages,
        Subject.TRIPWIRES: carrier.compare_tripwires,
        Subject.BALANCE: reconciling.read_balance,
    }
    return Passes(engine, steps | comparisons(engine, providers, twilio, notifier))


def tripwires(
    engine: AsyncEngine, twilio: Twilio, notifier: Notifier, *, public_url: str
) -> Tripwires:
    budgets = Budgets(engine)

    async def turn() -> None:
        await budgets.take(Endpoint.TWILIO_MESSAGES)

    foreign, reader = (
        ForeignMessages(engine, twilio, turn),
        UsagePass(engine, twilio, budgets).reader,
    )
    return Tripwires(engine, twilio, notifier, foreign, reader, public_url=public_url, turn=turn)


def read_backs(engine: AsyncEngine, twilio: Twilio, notifier: Notifier) -> ReadBacks:
    budgets = Budgets(engine)
    differences = Differences(engine, notifier, budgets)
    comparison = TwilioComparison(engine, twilio, differences, budgets)
    return ReadBacks(engine, comparison, differences, budgets)


def comparisons(
    engine: AsyncEngine,
    providers: Mapping[Provider, BillingProvider],
    twilio: Twilio,
    notifier: Notifier,
) -> dict[Subject, Step]:
    """The passes that compare organizations with Twilio and with their billing providers."""
    budgets = Budgets(engine)
    differences = Differences(engine, notifier, budgets)

    def of(name: Provider) -> Step:
        return SubscriptionComparison(engine, name, providers.get(name), differences, budgets).step

    return {
        Subject.TWILIO: TwilioComparison(engine, twilio, differences, budgets).step,
        Subject.USAGE: UsagePass(engine, twilio, budgets).step,
        Subject.RATES: RatesPass(engine, twilio, budgets).step,
        Subject.SENDERS: SendersPass(engine, twilio, notifier, budgets).step,
        Subject.PAYPAL: of(Provider.PAYPAL),
        Subject.STRIPE: of(Provider.STRIPE),
    }
