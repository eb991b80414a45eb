"""The Twilio simulator's control plane: /_sim/... in JSON, for tests, the demo and benchmarks."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import BAD_REQUESTS, faults_route, not_found, read_json
from simulators.faults import Faults
from simulators.twilio.answers import account_json
from simulators.twilio.api import Api
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.control import BillingControl
from simulators.twilio.billing.webhooks import Inbound
from simulators.twilio.callbacks import Callbacks
from simulators.twilio.state import Account, SentMessage, State


class Control:
    def __init__(
        self,
        state: State,
        api: Api,
        callbacks: Callbacks,
        faults: Faults,
        billing: Billing,
        inbound: Inbound,
    ) -> None:
        self.state = state
        self.api = api
        self.callbacks = callbacks
        self.faults = faults
        self.billing = billing
        self.inbound = inbound

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/_sim/accounts", self.open_accounts, methods=["POST"]),
                Route("/_sim/accounts", self.list_accounts, methods=["GET"]),
                Route("/_sim/parents", self.open_parent, methods=["POST"]),
                Route("/_sim/accounts/{sid}/status", self.set_status, methods=["POST"]),
                Route("/_sim/accounts/{sid}/senders", self.senders, methods=["POST", "DELETE"]),
                Route("/_sim/accounts/{sid}/refuse", self.refuse, methods=["POST"]),
                Route("/_sim/accounts/{sid}/rotate_token", self.rotate_token, methods=["POST"]),
                Route("/_sim/messages", self.list_messages, methods=["GET"]),
                Route("/_sim/messages/{sid}/callback", self.repeat_callback, methods=["POST"]),
                Route("/_sim/counts", self.counts, methods=["GET"]),
                Route("/_sim/callbacks", self.list_callbacks, methods=["GET"]),
                self.callbacks.faults.route("/_sim/callback_faults"),
                faults_route(self.faults),
                Route("/_sim/behaviour", self.behaviour, methods=["GET", "PATCH"]),
                Route("/_sim/opt_out", self.opt_out, methods=["POST", "DELETE"]),
                Route("/_sim/numbers", self.numbers, methods=["POST", "DELETE"]),
                Route("/_sim/settle_prices", self.settle_prices, methods=["POST"]),
                Route("/_sim/reset", self.reset, methods=["POST"]),
                *BillingControl(self.state, self.billing, self.api, self.inbound).routes(),
            ],
            exception_handlers={**BAD_REQUESTS, KeyError: not_found},
        )

    async def open_accounts(self, request: Request) -> Response:
        body = await read_json(request)
        number, name = int(body.get("count", 1)), str(body.get("friendly_name", "org_{n}"))
        if number == 1:
            opened = [
                self.state.open_account(
                    name,
                    sid=body.get("sid"),
                    auth_token=body.get("auth_token"),
                    owner=body.get("owner"),
                )
            ]
        else:
            opened = [
                self.state.open_account(name.replace("{n}", str(n)), owner=body.get("owner"))
                for n in range(1, number + 1)
            ]
        return JSONResponse({"accounts": [account_json(self.state, each) for each in opened]}, 201)

    async def open_parent(self, request: Request) -> Response:
        body = await read_json(request)
        opened = self.state.open_parent(str(body["sid"]), str(body["auth_token"]))
        return JSONResponse({"account": account_json(self.state, opened)}, 201)

    async def list_accounts(self, _: Request) -> Response:
        return JSONResponse(
            {"accounts": [account_json(self.state, each) for each in self.state.accounts.values()]}
        )

    async def set_status(self, request: Request) -> Response:
        """`by_twilio` marks a suspension that the API cannot lift; the main account's status can be
        set here, too.
        """
        account, body = self._account(request), await read_json(request)
        status = str(body["status"])
        account.held_by_twilio = bool(body.get("by_twilio", False)) and status == "suspended"
        failed = self.api.set_status(account, status)
        if account.owner == account.sid and status != "active":
            failed += sum(
                self.api.messages.fail_queued(each)
                for each in self.state.accounts.values()
                if each.owner == account.sid
            )
        return JSONResponse(
            {"account": account_json(self.state, account), "failed_messages": failed}
        )

    async def senders(self, request: Request) -> Response:
        """Add a sender, or a messaging service with its senders, to the account; or remove it."""
        account, body = self._account(request), await read_json(request)
        sender = str(body["sender"])
        if sender.startswith("MG") and len(sender) == 34:
            account.services[sender] = list(body.get("senders", []))
        elif request.method == "POST":
            account.senders[sender] = bool(body.get("sms", True))
        else:
            account.senders.pop(sender, None)
            account.released.add(sender)
        return JSONResponse({"senders": account.senders, "services": account.services})

    async def refuse(self, request: Request) -> Response:
        """Refuse every message with a `code` (null: none), or messages to the prefixes in
        `regions_off` with 21408.
        """
        account, body = self._account(request), await read_json(request)
        account.refuse_code = body.get("code")
        account.regions_off = set(body.get("regions_off", []))
        return JSONResponse(
            {"code": account.refuse_code, "regions_off": sorted(account.regions_off)}
        )

    async def rotate_token(self, request: Request) -> Response:
        account = self._account(request)
        account.auth_token = (await read_json(request)).get("auth_token") or self.state.new_sid("")
        return JSONResponse({"account": account_json(self.state, account)})

    async def list_messages(self, request: Request) -> Response:
        query = request.query_params
        since, limit = float(query.get("since", "0")), int(query.get("limit", "100000"))
        matches = [
            _message_json(message)
            for message in self.state.messages.values()
            if message.accepted_at > since
            and query.get("account_sid") in (None, message.account_sid)
            and query.get("to") in (None, message.to)
        ]
        return JSONResponse({"count": len(matches), "messages": matches[:limit]})

    async def repeat_callback(self, request: Request) -> Response:
        """Repeat the message's callback, with its present status or the given one."""
        message = self.state.messages[request.path_params["sid"]]
        body = await read_json(request)
        present = message.status, message.error_code
        message.status = body.get("status", message.status)
        message.error_code = body.get("error_code", message.error_code)
        for _ in range(int(body.get("times", 1))):
            self.callbacks.notify(message)
        if not body.get("keep", False):
            message.status, message.error_code = present
        return Response(status_code=202)

    async def counts(self, _: Request) -> Response:
        """Cheap figures; `duplicates` are the (to, body) pairs accepted more than once."""
        statuses: dict[str, int] = {}
        for message in self.state.messages.values():
            statuses[message.status] = statuses.get(message.status, 0) + 1
        duplicates = [
            {"to": to, "body": body, "count": number}
            for (to, body), number in self.state.per_recipient.items()
            if number > 1
        ]
        return JSONResponse(
            {
                "accounts": len(self.state.accounts),
                "messages": len(self.state.messages),
                "statuses": statuses,
                "refused": {str(code): number for code, number in self.state.refused.items()},
                "calls": dict(self.state.calls),
                "callbacks": dict(self.state.callback_counts),
                "callbacks_pending": self.callbacks.pending,
                "duplicates": duplicates,
            }
        )

    async def list_callbacks(self, request: Request) -> Response:
        wanted = request.query_params.get("message_sid")
        matches = [
            {
                "message_sid": each.message_sid,
                "account_sid": each.account_sid,
                "status": each.status,
                "url": each.url,
                "status_code": each.status_code,
                "seconds": each.seconds,
                "tries": each.tries,
            }
            for each in self.state.callbacks
            if wanted in (None, each.message_sid)
        ]
        return JSONResponse({"count": len(matches), "callbacks": matches})

    async def behaviour(self, request: Request) -> Response:
        if request.method == "PATCH":
            self.state.behaviour.change(await read_json(request))
        return JSONResponse(self.state.behaviour.to_json())

    async def opt_out(self, request: Request) -> Response:
        body = await read_json(request)
        sid, to = body.get("account_sid"), str(body["to"])
        for account in self.state.accounts.values():
            if sid in (None, account.sid):
                (account.opted_out.add if request.method == "POST" else account.opted_out.discard)(
                    to
                )
        return JSONResponse({"to": to})

    async def numbers(self, request: Request) -> Response:
        """The fate of messages to one number: refused at the post, or accepted and then failed."""
        if request.method == "DELETE":
            self.state.refuse_to.clear()
            self.state.fail_to.clear()
            return JSONResponse({})
        body = await read_json(request)
        if "refuse" in body:
            self.state.refuse_to[body["to"]] = int(body["refuse"])
        if "fail" in body:
            self.state.fail_to[body["to"]] = (
                body.get("status", "undelivered"),
                int(body["fail"]),
            )
        return JSONResponse(body)

    async def settle_prices(self, _: Request) -> Response:
        return JSONResponse({"settled": self.state.settle_prices()})

    async def reset(self, _: Request) -> Response:
        self.state.reset()
        self.billing.reset()
        self.api.numbers.clear()
        self.api.short_codes.clear()
        self.api.recordings.clear()
        self.api.newer.clear()
        self.faults.clear()
        self.callbacks.faults.clear()
        return JSONResponse({})

    def _account(self, request: Request) -> Account:
        return self.state.accounts[request.path_params["sid"]]


def _message_json(message: SentMessage) -> dict[str, Any]:
    return {
        "sid": message.sid,
        "account_sid": message.account_sid,
        "to": message.to,
        "from": message.sender,
        "messaging_service_sid": message.service_sid,
        "body": message.body,
        "status": message.status,
        "error_code": message.error_code,
        "segments": message.segments,
        "status_callback": message.callback_url,
        "price": None if message.price is None else f"{message.price:.5f}",
        "accepted_at": message.accepted_at,
        "accepted_wall": message.created,
    }
