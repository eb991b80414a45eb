"""The part of the control plane that concerns the bill: time passes, things are charged, prices are
corrected.
"""

from datetime import date

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.rates import micros
from simulators.twilio.state import State


class BillingControl:
    def __init__(self, state: State, billing: Billing) -> None:
        self.state = state
        self.billing = billing

    def routes(self) -> list[Route]:
        return [
            Route("/_sim/clock", self.clock, methods=["GET", "POST"]),
            Route("/_sim/usage/entries", self.entries, methods=["GET", "POST"]),
            Route("/_sim/usage/entries/{number:int}", self.correct, methods=["PATCH"]),
            Route("/_sim/usage/evaluate", self.evaluate, methods=["POST"]),
        ]

    async def clock(self, request: Request) -> Response:
        """Advance the clock by `days` and `seconds`; fees fall due and triggers fire on the way."""
        if request.method == "POST":
            body = await read_json(request)
            self.billing.advance(
                float(body.get("days", 0)) * 86_400 + float(body.get("seconds", 0))
            )
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

    async def evaluate(self, _: Request) -> Response:
        return JSONResponse({"fired": self.billing.evaluate()})
