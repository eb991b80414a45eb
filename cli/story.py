"""The demo's story: one organization pays, lapses in the middle of a campaign, pays again. Every
claim is checked.
"""

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cli.actors import PLAN, kept
from cli.narration import expect, wait_for
from cli.story_checks import CURRENCY, MESSAGES, PRICE, RECIPIENTS, SUSPEND_AFTER, TOP_UP, Checks

SUSPENSION = ["suspend_twilio_subaccount", "freeze_wallet", "pause_campaigns"]
REACTIVATION = ["reactivate_twilio_subaccount", "unfreeze_wallet", "resume_eligible_campaigns"]
PER_SECOND = 60
"""The organization's pace: even on a slow machine the suspension comes in the middle of the
campaign.
"""
QUEUED_FOR = 0.4


@dataclass(slots=True)
class Story(Checks):
    async def onboard(self) -> None:
        self.tell.chapter("An organization is onboarded, and pays")
        async with self.tell.step("Twilio opens a subaccount") as line:
            self.account = await self.twilio.open_subaccount(self.id)
            line.says(f"Twilio opened the subaccount {self.account}")
        async with self.tell.step("Tollgate onboards the organization") as line:
            organization = {
                "id": self.id,
                "name": "Acme Ltd",
                "currency": CURRENCY,
                "twilio_account_sid": self.account,
                "sender": "+15550001000",
                "price_per_segment": str(PRICE),
                "messages_per_second": PER_SECOND,
            }
            await self.company.ask("POST", "/v1/organizations", organization, status=201)
            wallet = await self.company.wallet(self.id)
            expect("the new wallet's balance", Decimal(wallet["balance"]), Decimal(0))
            line.says(
                f"{self.id} onboarded: an empty wallet in {CURRENCY}, {PRICE} {CURRENCY} a segment"
            )
            if self.host is not None:
                where = {"url": self.host.url}
                endpoint = await self.company.ask(
                    "POST", "/v1/webhook-endpoints", where, status=201
                )
                await self.host.trust(endpoint["secret"])
        async with self.tell.step("the customer subscribes at PayPal") as line:
            await self._subscribe()
            line.says(
                f"the customer subscribed at PayPal: {self.subscription} is ACTIVE and linked"
            )
        async with self.tell.step("the customer tops up at PayPal") as line:
            captured = await self.paypal.ask(
                "POST",
                "/_sim/captures",
                {"amount": str(TOP_UP), "currency": CURRENCY, "custom_id": self.id},
            )
            event = captured["events"][0]
            await self.paypal.answered(event["id"])
            await wait_for("the top-up is in the wallet", self._topped_up)
            line.says(
                f"PayPal's webhook {event['event_type']}: queried PayPal and booked {TOP_UP} "
                f"{CURRENCY} once"
            )

    async def lapse(self) -> None:
        self.tell.chapter(
            f"A campaign of {MESSAGES} messages runs, and the subscription is suspended"
        )
        await self.twilio.ask("PATCH", "/_sim/behaviour", {"sending_after": QUEUED_FOR})
        async with self.tell.step("a campaign starts") as line:
            campaign = {
                "name": "Spring sale",
                "body": "20 % off until Sunday.",
                "recipients": RECIPIENTS,
            }
            created = await self.company.ask(
                "POST", f"{self._of}/campaigns", campaign, status=201, key="spring-sale"
            )
            self.campaign = created["id"]
            await self.company.ask("POST", f"{self._of}/campaigns/{self.campaign}/start")
            line.says(
                f"the campaign {created['name']!r} is started: {created['total']} messages, each "
                "paid before it is sent"
            )
        async with self.tell.step("messages leave") as line:
            sent = await wait_for(f"{SUSPEND_AFTER} messages are sent", self._enough_are_sent)
            line.says(f"{sent} of {MESSAGES} messages are at Twilio, and more follow")
        async with self.tell.step("PayPal suspends the subscription") as line:
            [event] = await self.paypal.act(self.subscription, "suspend")
            self.suspended = event["id"]
            [seconds] = await self.paypal.answered(event["id"])
            self.suspended_at = time.time()
            may = await self.company.ask("GET", f"{self._of}/can-send")
            expect("may it send after the webhook was answered", may["can_send"], wanted=False)
            line.says(
                f"PayPal's signed {event['event_type']}: answered with 200 in "
                f"{seconds * 1000:.0f} ms, gate shut"
            )

    async def enforce(self) -> None:
        self.tell.chapter("The three are in step: Twilio suspended, wallet frozen, campaign parked")
        async with self.tell.step("the suspension is applied") as line:
            organization = await wait_for(
                "the suspension is applied", lambda: self.company.applied(self.id, "suspended")
            )
            expect(
                "the subaccount's status at Twilio",
                await self.twilio.status_of(self.account),
                "suspended",
            )
            line.says(
                "the subaccount is suspended at Twilio, read back; standing "
                f"{_standing(organization)}"
            )
        if self.host is not None:
            await self._hear()
        async with self.tell.step("the wallet is frozen") as line:
            wallet = organization["wallet"]
            expect(
                "the wallet's gate and freeze",
                (wallet["gate"], wallet["frozen_by"]),
                ("shut", ["suspension"]),
            )
            line.says("the wallet is frozen by the suspension, its gate shut")
        async with self.tell.step("the campaign is parked") as line:
            await self.twilio.callbacks_are_out()
            parked = await wait_for("the campaign is parked", self._parked)
            line.says(
                (
                    f"the campaign is parked at message {parked['next_position']} of {MESSAGES}: "
                    f"{parked['reason']}"
                ),
                await self._check_parked(parked),
            )
        async with self.tell.step("a send is tried") as line:
            message = {"to": RECIPIENTS[0], "body": "Is anybody there?"}
            refused = await self.company.ask(
                "POST", f"{self._of}/messages", message, status=423, key="tried-now"
            )
            why = "; ".join(reason["message"] for reason in refused["reasons"])
            line.says(
                f"a message tried now is refused with {refused['status']}, {refused['title']}: "
                f"{why}"
            )
        receipt = (await self.company.organization(self.id))["receipts"][0]
        self._show_receipt(receipt, "suspended", SUSPENSION)
        expect("what leaked", (receipt["leaked_debits"], receipt["leaked_messages"]), (0, 0))

    async def _hear(self) -> None:
        async with self.tell.step("the host application is told") as line:
            event = await wait_for("the suspension's event", self._suspension_told)
            seconds = max(0.0, event["at"] - self.suspended_at)
            line.says(
                f"the host application received {event['type']}, signed, {seconds * 1000:.0f} ms "
                "after the webhook was answered"
            )

    async def repeat(self) -> None:
        self.tell.chapter("Repeated and late webhooks change nothing")
        before = await self._at_rest()
        async with self.tell.step("the same webhook is delivered twice more") as line:
            await self.paypal.ask("POST", f"/_sim/events/{self.suspended}/redeliver", {"times": 2})
            await self.paypal.answered(self.suspended, times=3)
            await wait_for("three deliveries are counted", lambda: self._handled(self.suspended, 3))
            expect("the organization after the same webhook again", await self._at_rest(), before)
            line.says(
                "the same webhook was delivered twice more and answered with 200: still epoch "
                f"{before['epoch']}, nothing booked"
            )
        async with self.tell.step("an older webhook arrives late") as line:
            await self.paypal.ask("POST", f"/_sim/events/{self.activated}/redeliver")
            await self.paypal.answered(self.activated)
            await wait_for("the late webhook is handled", lambda: self._handled(self.activated, 1))
            expect("the organization after the late webhook", await self._at_rest(), before)
            line.says(
                "the first ACTIVATED event arrived only now: still suspended, epoch "
                f"{before['epoch']}"
            )

    async def recover(self) -> None:
        self.tell.chapter("The subscription is paid: everything continues where it stopped")
        async with self.tell.step("the customer pays") as line:
            self.sent_before = tuple(kept(await self.twilio.messages(self.account)))
            events = await self.paypal.act(self.subscription, "pay")
            for event in events:
                await self.paypal.answered(event["id"])
            names = " and ".join(event["event_type"] for event in events)
            line.says(f"the customer paid: PayPal's {names}")
        async with self.tell.step("the reactivation is applied") as line:
            organization = await wait_for(
                "the reactivation is applied", lambda: self.company.applied(self.id, "active")
            )
            expect(
                "the subaccount's status at Twilio",
                await self.twilio.status_of(self.account),
                "active",
            )
            wallet = organization["wallet"]
            expect(
                "the wallet's gate and freeze", (wallet["gate"], wallet["frozen_by"]), ("open", [])
            )
            line.says(
                "the subaccount is active at Twilio, the wallet unfrozen; standing "
                f"{_standing(organization)}"
            )
        self._show_receipt(organization["receipts"][0], "active", REACTIVATION)
        async with self.tell.step("the campaign continues") as line:
            campaign = await wait_for("all messages are delivered", self._delivered)
            line.says(
                f"the campaign continued and is {campaign['status']}: {MESSAGES} of {MESSAGES} "
                "messages delivered"
            )
        async with self.tell.step("the books are compared") as line:
            messages_line, money_line = await self._check_once()
            line.says(messages_line, money_line)

    async def _subscribe(self) -> None:
        checkout = {"provider": "paypal", "plan_id": PLAN} | {
            f"{where}_url": f"https://shop.example.com/{where}" for where in ("return", "cancel")
        }
        created = await self.company.ask(
            "POST", f"{self._of}/subscription/checkout", checkout, status=201, key="subscribe"
        )
        self.subscription = created["subscription_id"]
        events = await self.paypal.act(self.subscription, "approve", deliver=False)
        by_type = {event["event_type"]: event["id"] for event in events}
        self.activated = by_type.pop("BILLING.SUBSCRIPTION.ACTIVATED")  # it is delivered late
        for event_id in by_type.values():
            await self.paypal.ask("POST", f"/_sim/events/{event_id}/redeliver")
            await self.paypal.answered(event_id)
        linked = {"provider": "paypal", "subscription_id": self.subscription}
        current = await self.company.ask("POST", f"{self._of}/subscription", linked)
        expect(
            "the linked subscription", (current["status"], current["is_current"]), ("active", True)
        )


def _standing(organization: Any) -> str:
    standing = organization["standing"]
    return f"{standing['status'].upper()}, epoch {standing['epoch']} applied"
