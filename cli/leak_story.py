"""The demo's third story: a customer's credentials leak, and messages are sent past Tollgate."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich import box
from rich.table import Table
from temporalio.client import Client

from cli.actors import Company, Twilio
from cli.narration import Teller, expect, wait_for
from cli.story import SUSPENSION
from cli.story_checks import CURRENCY

SENT, RECEIVED = 40, 25
ABROAD = "+4477009000{:02}"
PRICE_ABROAD = "0.0400"
BALANCE, TOP_UP = "0.50", "5.00"
TRIPWIRES = "reconcile-tripwires"


@dataclass(slots=True)
class LeakStory:
    """`id` and `account` are an active organization's whose wallet is empty."""

    tell: Teller
    company: Company
    twilio: Twilio
    temporal: Client
    id: str
    account: str

    @property
    def _of(self) -> str:
        return f"/v1/organizations/{self.id}"

    async def play(self) -> None:
        self.tell.chapter("Its credentials leak: what is sent past Tollgate is paid for, too")
        token = await self._prepare()
        async with self.tell.step("a stranger sends with the leaked token") as line:
            for number in range(SENT):
                await self.twilio.send_as(self.account, token, ABROAD.format(number))
            inbound = {"to": "+15550001001", "count": RECEIVED}
            await self.twilio.ask("POST", f"/_sim/accounts/{self.account}/inbound", inbound)
            await wait_for("Twilio charges for all of them", self._are_charged)
            line.says(
                f"a stranger with the leaked token sent {SENT} messages past Tollgate, and "
                f"{RECEIVED} were received"
            )
        async with self.tell.step("Twilio's usage trigger fires") as line:
            await self.twilio.ask("POST", "/_sim/usage/evaluate")
            applied = await wait_for(
                "the suspension is applied", lambda: self.company.applied(self.id, "suspended")
            )
            steps = [step["step"] for step in applied["receipts"][0]["steps"]]
            expect("the receipt's steps", steps, SUSPENSION)
            expect("Twilio's status", await self.twilio.status_of(self.account), "suspended")
            [reason] = [each["message"] for each in applied["reasons"] if each["code"] == "funds"]
            line.says(
                "Twilio's usage trigger fired: the messages are charged, the wallet ran out, "
                "SUSPENDED here and at Twilio",
                reason,
            )
        await self._pay()
        await self._bill()

    async def _prepare(self) -> str:
        """A little money, a tripwire at Twilio, a price abroad; returns the token that leaks."""
        await self.twilio.ask("PATCH", "/_sim/rates", {"countries": {"GB": PRICE_ABROAD}})
        credit = {"reference_id": "some", "amount": BALANCE, "currency": CURRENCY}
        await self.company.ask("POST", f"{self._of}/wallet/credits", credit, status=201)
        async with self.tell.step("a usage trigger watches the subaccount") as line:
            await self.temporal.get_schedule_handle(TRIPWIRES).trigger()
            token = await self.twilio.token_of(self.account)
            trigger = await wait_for(
                "Twilio has a trigger", lambda: self.twilio.trigger_of(self.account, token)
            )
            value = Decimal(trigger["trigger_value"])
            line.says(f"Tollgate set a usage trigger at Twilio: {value:.2f} {CURRENCY} a day")
        return token

    async def _are_charged(self) -> bool:
        return bool((await self._books())["count"] == SENT + RECEIVED)

    async def _books(self) -> Any:
        """Twilio's own books of the subaccount."""
        query = {"account_sid": self.account}
        return await self.twilio.ask("GET", "/_sim/usage/entries", query=query)

    async def _pay(self) -> None:
        async with self.tell.step("the customer tops up") as line:
            credit = {"reference_id": "more", "amount": TOP_UP, "currency": CURRENCY}
            await self.company.ask("POST", f"{self._of}/wallet/credits", credit, status=201)
            await wait_for(
                "the reactivation is applied", lambda: self.company.applied(self.id, "active")
            )
            balance = (await self.company.wallet(self.id))["balance"]
            line.says(
                f"the customer topped up {TOP_UP} {CURRENCY}: what was owed is paid, {balance} "
                f"{CURRENCY} are left, ACTIVE again"
            )

    async def _bill(self) -> None:
        async with self.tell.step("the carrier's bill is compared") as line:
            bill = await self.company.ask("GET", f"{self._of}/carrier-bill")
            books = await self._books()
            [total] = bill["totals"]
            expect(
                "the bill's total in micros, and that of Twilio's books",
                int(Decimal(total["charged"]) * 1_000_000),
                books["price_micros"],
            )
            expect("what nobody paid", Decimal(total["unpaid"]), Decimal(0))
            expect("whether the bill is settled", bill["settled"], wanted=True)
            line.says(
                f"Twilio's total {total['charged']} {CURRENCY} = paid {total['paid']} + absorbed "
                f"{total['absorbed']} + unpaid {total['unpaid']}"
            )
        self.tell.show(_lines(bill["lines"]))


def _lines(lines: list[Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("category", "charged", "paid", "absorbed", "unpaid"):
        table.add_column(column, justify="left" if column == "category" else "right")
    for each in lines:
        table.add_row(*(each[key] for key in ("category", "charged", "paid", "absorbed", "unpaid")))
    return table
