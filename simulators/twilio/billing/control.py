"""The part of the control plane that concerns the bill: time passes, things are charged, prices are
corrected.
"""

from datetime import date
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.charges import call
from simulators.twilio.billing.rates import micros
from simulators.twilio.billing.webhooks import Inbound
from simulators.twilio.state import Account, State

if TYPE_CHECKING:
    from simulators.twilio.api import Api


class BillingControl:
    def __init__(self, state: State, billing: Billing, api: "Api", inbound: Inbound) -> None:
        self.state = state
        self.billing = billing
        self.api = api
        self.incoming = inbound

    def routes(self) -> list[Route]:
        return [
            Route("/_sim/clock", self.clock, methods=["GET", "POST"]),
            Route("/_sim/usage/entries", self.entries, methods=["GET", "POST"]),
            Route("/_sim/usage/entries/{number:int}", self.correct, methods=["PATCH"]),
            Route("/_sim/usage/evaluate", self.evaluate, methods=["POST"]),
            Route("/_sim/rates", self.rates, methods=["GET", "PATCH"]),
            Route("/_sim/accounts/{sid}/inbound", self.inbound, methods=["POST"]),
            Route("/_sim/accounts/{sid}/calls", self.call, methods=["POST"]),
            Route("/_sim/accounts/{sid}/phone_numbers", self.buy, methods=["POST"]),
            Route("/_sim/accounts/{sid}/fees", self.fee, methods=["POST"]),
            Route("/_sim/accounts/{sid}/short_codes", self.lease, methods=["POST", "DELETE"]),
            Route("/_sim/accounts/{sid}/recordings", self.record, methods=["POST"]),
            Route("/_sim/usa2p/{sid}", self.decide, methods=["POST"]),
            Route("/_sim/verifications", self.verifications, methods=["GET"]),
        ]

    async def clock(self, request: Request) -> Response:
        """Advance the clock by `days` and `seconds`; fees fall due and triggers fire on the way.
        Below 0 it begins in the past, before anything has happened.
        """
        if request.method == "POST":
            body = await read_json(request)
            seconds = float(body.get("days", 0)) * 86_400 + float(body.get("seconds", 0))
            if seconds < 0:
                self.billing.begin(-seconds)
            else:
                self.billing.advance(seconds)
        clock = self.state.clock
        return JSONResponse({"now": clock.now(), "today": clock.today().isoformat()})

    async def entries(self, request: Request) -> Response:
        """List the entries of the books, or book one of any category, also on a past day."""
        if request.method == "POST":
            body = await read_json(request)
            account = self.state.accounts[str(body["account_sid"])]
            price = body.get("price")
            entry = self.state.books.book(
                account.sid,
                str(body["category"]),
                None if price is None else micros(str(price)),
                source=str(body.get("source", "")),
                number=int(body.get("count", 1)),
                usage=int(body["usage"]) if "usage" in body else None,
                day=date.fromisoformat(body["day"]) if "day" in body else None,
            )
            return JSONResponse(entry.to_json(), 201)
        query = request.query_params
        matches = [
            entry.to_json()
            for entry in self.state.books.entries
            if query.get("account_sid") in (None, entry.account_sid)
            and query.get("category") in (None, entry.category)
            and query.get("day") in (None, entry.day.isoformat())
            and query.get("source") in (None, entry.source)
        ]
        total = sum(entry["price_micros"] or 0 for entry in matches)
        return JSONResponse({"count": len(matches), "price_micros": total, "entries": matches})

    async def correct(self, request: Request) -> Response:
        """Change the price of an entry (null: unknown), as Twilio does days later."""
        price = (await read_json(request))["price"]
        entry = self.state.books.correct(
            request.path_params["number"], None if price is None else micros(str(price))
        )
        return JSONResponse(entry.to_json())

    async def rates(self, request: Request) -> Response:
        """`prices` by category and `countries` by ISO code (outbound SMS)."""
        if request.method == "PATCH":
            self.state.rates.change(await read_json(request))
        return JSONResponse(
            {"prices": self.state.rates.prices, "countries": self.state.rates.countries}
        )

    async def inbound(self, request: Request) -> Response:
        """Receive `count` messages; none if the account is suspended."""
        body = await read_json(request)
        received = [
            self.incoming.receive(
                self._account(request),
                str(body["to"]),
                str(body.get("from", "+15551234567")),
                str(body.get("body", "Hello")),
                media=bool(body.get("media", False)),
            )
            for _ in range(int(body.get("count", 1)))
        ]
        sids = [message.sid for message in received if message is not None]
        return JSONResponse({"count": len(sids), "sids": sids}, 201)

    async def call(self, request: Request) -> Response:
        """A call that ended: `to`, `seconds`, `inbound` (false)."""
        body = await read_json(request)
        entry = call(
            self.state,
            self._account(request).sid,
            inbound=bool(body.get("inbound", False)),
            to=str(body.get("to", "+15551234567")),
            seconds=int(body.get("seconds", 60)),
        )
        return JSONResponse(entry.to_json(), 201)

    async def buy(self, request: Request) -> Response:
        body = await read_json(request)
        number = self.api.numbers.buy(
            self._account(request),
            str(body["phone_number"]),
            kind=body.get("kind"),
            sms=bool(body.get("sms", True)),
        )
        return JSONResponse({"sid": number.sid, "phone_number": number.phone_number}, 201)

    async def fee(self, request: Request) -> Response:
        """A monthly fee of a `category` with a price, that of a 10DLC campaign unless given."""
        body = await read_json(request)
        fee = self.billing.start_fee(
            self._account(request).sid,
            str(body.get("category", "a2p-10dlc-registrationfees-monthly")),
            str(body.get("source") or self.state.new_sid("QE")),
        )
        return JSONResponse({"source": fee.source, "due": fee.due.isoformat()}, 201)

    async def lease(self, request: Request) -> Response:
        """Lease a `short_code` for 3 or 12 `months` at a time; DELETE gives back the one with the
        `sid`. Neither is in Twilio's API.
        """
        body = await read_json(request)
        if request.method == "DELETE":
            self.api.short_codes.give_back(str(body["sid"]))
            return JSONResponse({})
        code = self.api.short_codes.lease(
            self._account(request), str(body["short_code"]), months=int(body.get("months", 3))
        )
        return JSONResponse({"sid": code.sid, "short_code": code.short_code}, 201)

    async def record(self, request: Request) -> Response:
        """A call was recorded: its storage costs every month."""
        body = await read_json(request)
        recording = self.api.recordings.store(self._account(request), int(body.get("seconds", 60)))
        return JSONResponse({"sid": recording.sid}, 201)

    async def decide(self, request: Request) -> Response:
        """The carriers' decision about a 10DLC campaign: its `status`."""
        body = await read_json(request)
        registrations = self.api.newer.services.registrations
        decided = registrations.decide(request.path_params["sid"], str(body["status"]))
        return JSONResponse({"sid": decided.sid, "status": decided.status})

    async def verifications(self, _: Request) -> Response:
        """Each with its code, as the recipient got it."""
        started = self.api.newer.verify.verifications.values()
        return JSONResponse(
            {
                "verifications": [
                    {"sid": each.sid, "to": each.to, "code": each.code, "status": each.status}
                    for each in started
                ]
            }
        )

    def _account(self, request: Request) -> Account:
        return self.state.accounts[request.path_params["sid"]]

    async def evaluate(self, _: Request) -> Response:
        return JSONResponse({"fired": self.billing.evaluate()})
