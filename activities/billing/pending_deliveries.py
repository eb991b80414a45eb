"""An organization's subscriptions and deliveries that wait for a provider's answer, and which of
them an answer finishes.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from temporalio.exceptions import ApplicationError

from db.billing.topups import TopUpCheckout
from db.inbox.deliveries import Delivery
from domain.billing.subscription import Provider, Snapshot, State, Subscription

BOOKED_AT_ONCE = 15
"""Per provider: a booking takes several requests, and one attempt has 30 s. The next attempt
follows at once.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The providers' answers, and why the `silent` ones did not answer."""

    snapshots: Sequence[tuple[Subscription, Snapshot]]
    silent: Mapping[Provider, ApplicationError]

    def raise_for_silent(self) -> None:
        for problem in self.silent.values():
            raise problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The records of an organization that wait for a provider's answer."""

    organization_id: str
    deliveries: Sequence[Delivery]
    subscriptions: Sequence[Subscription]
    topups: Sequence[TopUpCheckout]

    @property
    def has_money(self) -> bool:
        return bool(self.topups) or any(delivery.money for delivery in self.deliveries)

    @property
    def cause(self) -> str:
        if not self.deliveries:
            return "self-check"
        newest = self.deliveries[-1]
        return f"{newest.event_type} {newest.event_id}"

    @property
    def in_question(self) -> list[Subscription]:
        """The current subscription, those that a delivery names, and open checkouts."""
        named = {(delivery.provider, delivery.subscription_id) for delivery in self.deliveries}
        return [
            subscription
            for subscription in self.subscriptions
            if subscription.is_current
            or (subscription.provider, subscription.id) in named
            or _is_open_checkout(subscription)
        ]

    @property
    def provider(self) -> Provider | None:
        """The current subscription's, otherwise one that has to be queried."""
        return next(
            chain(
                (each.provider for each in self.subscriptions if each.is_current),
                (each.provider for each in self.in_question),
                (delivery.provider for delivery in self.deliveries),
                (topup.provider for topup in self.topups),
            ),
            None,
        )

    @property
    def portions(self) -> tuple[list[Delivery], list[Delivery]]:
        """Deliveries about money: as many of each provider as one attempt books, and the rest."""
        first: list[Delivery] = []
        later: list[Delivery] = []
        count = Counter[Provider]()
        for delivery in self.deliveries:
            if delivery.money is not None:
                count[delivery.provider] += 1
                (first if count[delivery.provider] <= BOOKED_AT_ONCE else later).append(delivery)
        return first, later

    def done(
        self,
        answers: Answers,
        doubted: Collection[tuple[Provider, str]],
        unbooked: Collection[Delivery] = (),
    ) -> list[Delivery]:
        """A delivery about money is done when it is booked or postponed; any other when its
        provider's answer is accepted.
        """
        return [
            delivery
            for delivery in self.deliveries
            if (
                delivery not in unbooked
                if delivery.money
                else delivery.provider not in answers.silent
                and (delivery.provider, delivery.subscription_id) not in doubted
            )
        ]


def _is_open_checkout(subscription: Subscription) -> bool:
    """A checkout that we created: the webhook of its completion may be lost, and nothing else
    reports it.
    """
    return subscription.checkout_url is not None and subscription.snapshot.state in (
        State.NONE,
        State.PENDING,
    )
