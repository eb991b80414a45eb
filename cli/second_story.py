"""The demo's second, shorter story: an organization that pays by Stripe goes through the same
steps.
"""

import secrets
from dataclasses import dataclass

from cli.actors import Company, Provider, Twilio
from cli.narration import Teller, expect, wait_for
from cli.story import REACTIVATION, SUSPENSION
from cli.story_checks import CURRENCY, PRICE

TURNS = (
    ("give_up", "its payments fail", "suspended", "shut", SUSPENSION),
    ("pay", "it pays", "active", "open", REACTIVATION),
)
"""An event at Stripe and its description; the resulting standing, here and at Twilio, and gate; the
steps.
"""


@dataclass(slots=True)
class SecondStory:
    """`id` and `account` are the organization's, once it is onboarded."""

    tell: Teller
    company: Company
    stripe: Provider
    twilio: Twilio
    id: str = ""
    account: str = ""

    async def play(self) -> None:
        self.tell.chapter("Another organization pays by Stripe: the same steps, the same receipts")
        id_ = self.id = f"beta-{secrets.token_hex(2)}"
        async with self.tell.step("another organization subscribes at Stripe") as line:
            account = self.account = await self.twilio.open_subaccount(id_)
            subscription = await self._subscribe(id_, account)
            line.says(f"{id_} subscribed at Stripe: {subscription} is ACTIVE and linked")
        for act, doing, status, gate, steps in TURNS:
            async with self.tell.step(doing) as line:
                events = await self.stripe.act(subscription, act)
                for event in events:
                    await self.stripe.answered(event["id"])
                applied = await wait_for(
                    f"{id_} {status}",
                    lambda: self.company.applied(id_, status),  # noqa: B023
                )
                expect(
                    "the subaccount's status at Twilio",
                    await self.twilio.status_of(account),
                    status,
                )
                expect("the wallet's gate", applied["wallet"]["gate"], gate)
                expect(
                    "the receipt's steps",
                    [step["step"] for step in applied["receipts"][0]["steps"]],
                    steps,
                )
                names = " and ".join(event["type"] for event in events)
                line.says(
                    (
                        f"{doing}: Stripe's signed {names}; {status.upper()} here and at Twilio, "
                        f"the gate {gate}"
                    ),
                    f"the receipt's steps: {', '.join(steps)}",
                )

    async def _subscribe(self, id_: str, account: str) -> str:
        organization = {
            "id": id_,
            "name": "Beta Inc",
            "currency": CURRENCY,
            "twilio_account_sid": account,
            "sender": "+15550001001",
            "price_per_segment": str(PRICE),
        }
        await self.company.ask("POST", "/v1/organizations", organization, status=201)
        created = await self.stripe.ask("POST", "/_sim/subscriptions", {"organization_id": id_})
        linked = {"provider": "stripe", "subscription_id": created["object"]["id"]}
        current = await self.company.ask("POST", f"/v1/organizations/{id_}/subscription", linked)
        expect(
            "the linked subscription", (current["status"], current["is_current"]), ("active", True)
        )
        subscription: str = current["subscription_id"]
        return subscription
