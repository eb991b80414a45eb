"""What the demo's story waits for and checks: campaign, ledger and receipts, ours and Twilio's."""

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.table import Table

from cli.actors import Company, HostApplication, Provider, Twilio, kept
from cli.narration import Teller, expect

MESSAGES = 300
SUSPEND_AFTER = 60
PRICE = Decimal("0.0125")
TOP_UP = Decimal("10.00")
CURRENCY = "USD"
RECIPIENTS = tuple(f"+1415555{number:04d}" for number in range(100, 100 + MESSAGES))


@dataclass(slots=True)
class Checks:
    tell: Teller
    company: Company
    paypal: Provider
    twilio: Twilio
    host: HostApplication | None = None
    id: str = field(default_factory=lambda: f"acme-{secrets.token_hex(2)}")
    account: str = ""
    subscription: str = ""
    campaign: str = ""
    activated: str = ""
    suspended: str = ""
    suspended_at: float = 0.0
    sent_before: tuple[Any, ...] = ()

    @property
    def _of(self) -> str:
        return f"/v1/organizations/{self.id}"

    async def _topped_up(self) -> bool:
        return Decimal((await self.company.wallet(self.id))["balance"]) == TOP_UP

    async def _enough_are_sent(self) -> int | None:
        counts = (await self.company.campaign(self.id, self.campaign))["counts"]
        accepted: int = counts["accepted"]
        return accepted if accepted >= SUSPEND_AFTER else None

    async def _suspension_told(self) -> Any | None:
        assert self.host is not None
        return await self.host.event("organization.suspended", self.id)

    async def _parked(self) -> Any | None:
        campaign = await self.company.campaign(self.id, self.campaign)
        moving = campaign["counts"]["reserved"] + campaign["counts"]["sending"]
        if campaign["status"] != "parked" or moving:
            return None
        given_back = campaign["counts"]["accepted"] == len(
            kept(await self.twilio.messages(self.account))
        )
        # a message that failed at Twilio is read there before it is refunded
        return campaign if given_back else None

    async def _check_parked(self, parked: Any) -> str:
        """The messages at Twilio, the debits and the position of the park agree exactly."""
        sent = await self.twilio.messages(self.account)
        accepted = parked["counts"]["accepted"]
        expect("messages sent, by our count and by Twilio's", accepted, len(kept(sent)))
        expect("messages still to be sent", parked["counts"]["pending"], MESSAGES - accepted)
        wallet = await self.company.wallet(self.id)
        expect("the balance", Decimal(wallet["balance"]), TOP_UP - accepted * PRICE)
        back = len(sent) - len(kept(sent))
        gave_back = f", {back} queued ones were returned unsent and refunded" if back else ""
        holds = f"the wallet holds {wallet['balance']} {CURRENCY}"
        return f"{accepted} messages are at Twilio and paid for{gave_back}; {holds}"

    async def _handled(self, event_id: str, times: int) -> bool:
        by_event_id = {
            delivery["event_id"]: delivery
            for delivery in (await self.company.organization(self.id))["deliveries"]
        }
        delivery = by_event_id.get(event_id)
        return (
            delivery is not None
            and delivery["deliveries"] >= times
            and delivery["status"] == "handled"
        )

    async def _at_rest(self) -> Mapping[str, Any]:
        """Everything that a webhook could have changed."""
        organization = await self.company.organization(self.id)
        campaigns = [(item["status"], item["next_position"]) for item in organization["campaigns"]]
        wallet = {
            name: organization["wallet"][name]
            for name in ("balance", "entries", "gate", "frozen_by")
        }
        receipts = [
            (item["epoch"], item["status"], item["finished_at"])
            for item in organization["receipts"]
        ]
        return {
            **organization["standing"],
            "wallet": wallet,
            "campaigns": campaigns,
            "receipts": receipts,
        }

    async def _delivered(self) -> Any | None:
        campaign = await self.company.campaign(self.id, self.campaign)
        completed = (
            campaign["status"] == "completed" and campaign["counts"]["delivered"] == MESSAGES
        )
        return campaign if completed else None

    async def _check_once(self) -> tuple[str, str]:
        """Twilio has one message for each recipient, sent none again, and each is paid once."""
        sent = kept(await self.twilio.messages(self.account))
        per_recipient = Counter(message["to"] for message in sent)
        expect("recipients", set(per_recipient), set(RECIPIENTS))
        expect(
            "recipients with more than one message",
            [to for to, n in per_recipient.items() if n > 1],
            [],
        )
        before = {message["sid"] for message in self.sent_before}
        expect(
            "messages sent after the reactivation",
            len([message for message in sent if message["sid"] not in before]),
            MESSAGES - len(before),
        )
        paid = await self._paid_per_message()
        expect("messages paid", len(paid), MESSAGES)
        expect(
            "messages not paid exactly once",
            {name: net for name, net in paid.items() if net != PRICE},
            {},
        )
        balance = (await self.company.wallet(self.id))["balance"]
        expect("the balance at the end", Decimal(balance), TOP_UP - MESSAGES * PRICE)
        after = MESSAGES - len(before)
        return (
            (
                f"every recipient got one message, every message was paid once: {MESSAGES} x "
                f"{PRICE} {CURRENCY}"
            ),
            (
                f"{len(before)} before the suspension, {after} after it; the wallet holds "
                f"{balance} {CURRENCY}"
            ),
        )

    async def _paid_per_message(self) -> Mapping[str, Decimal]:
        """The cost of each message after refunds, by the ledger."""
        paid: dict[str, Decimal] = {}
        cursor: dict[str, str] = {}
        while True:
            found = await self.company.ask(
                "GET", f"{self._of}/wallet/entries", query={"limit": "500", **cursor}
            )
            for entry in found["data"]:
                if entry["kind"] in ("debit", "refund"):
                    message = (entry["refunds"] or entry["reference_id"]).split(":")[1]
                    paid[message] = paid.get(message, Decimal(0)) - Decimal(entry["amount"])
            if found["next_cursor"] is None:
                return paid
            cursor = {"cursor": found["next_cursor"]}

    def _show_receipt(self, receipt: Any, status: str, steps: list[str]) -> None:
        expect("the receipt's status", receipt["status"], status)
        expect("the receipt's steps", [step["step"] for step in receipt["steps"]], steps)
        decided = datetime.fromisoformat(receipt["decided_at"])
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column(f"receipt of epoch {receipt['epoch']}: {status}")
        table.add_column("done after", justify="right")
        table.add_column("result")
        for step in receipt["steps"]:
            after = datetime.fromisoformat(step["finished_at"]) - decided
            table.add_row(step["step"], f"{after.total_seconds() * 1000:.0f} ms", step["detail"])
        if receipt["leaked_debits"] is not None:
            table.add_row(
                "leaked",
                "",
                f"{receipt['leaked_debits']} debits, {receipt['leaked_messages']} messages",
            )
        self.tell.show(table)
