"""The Twilio simulator: one ASGI application, hand-routed because it handles thousands of posts a
second.
"""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from simulators.faults import Faults, FaultyApp, read_body, respond
from simulators.twilio.answers import API, fault_body
from simulators.twilio.api import Api
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.numbers import Numbers
from simulators.twilio.billing.recordings import Recordings
from simulators.twilio.billing.registrations import Registrations
from simulators.twilio.billing.services import Services
from simulators.twilio.billing.short_codes import ShortCodes
from simulators.twilio.billing.v1 import PREFIXES, NewerApis
from simulators.twilio.billing.webhooks import Inbound
from simulators.twilio.callbacks import Callbacks
from simulators.twilio.control import Control
from simulators.twilio.messages import Messages
from simulators.twilio.state import Account, State

MAIN_SID = "AC00000000000000000000000000000001"
MAIN_TOKEN = "11111111111111111111111111111111"


class TwilioSimulator:
    """Serve it with `simulators.serving.serve`; tests may read `state` and script `faults`."""

    def __init__(
        self,
        *,
        account_sid: str = MAIN_SID,
        auth_token: str = MAIN_TOKEN,
        seed: int = 0,
        callback_limit: int = 64,
    ) -> None:
        self.url = ""
        self.state = State(account_sid, auth_token, seed)
        self.faults = Faults()
        self.callbacks = Callbacks(self.state, limit=callback_limit)
        self.messages = Messages(self.state, self.callbacks)
        self.billing = Billing(self.state, self.callbacks)
        self.numbers = Numbers(self.state, self.billing)
        self.short_codes = ShortCodes(self.state, self.billing)
        self.recordings = Recordings(self.state, self.billing)
        self.registrations = Registrations(self.state, self.billing)
        services = Services(self.state, self.numbers, self.short_codes, self.registrations)
        self.newer = NewerApis(self.state, services, lambda: self.url)
        self.inbound = Inbound(self.state, self.callbacks, self._webhooks_of)
        self.api = Api(
            state=self.state,
            messages=self.messages,
            billing=self.billing,
            numbers=self.numbers,
            short_codes=self.short_codes,
            recordings=self.recordings,
            newer=self.newer,
        )
        self._control = Control(
            self.state, self.api, self.callbacks, self.faults, self.billing, self.inbound
        ).app()
        self._app = FaultyApp(self._answer, self.faults, fault_body)

    @property
    def app(self) -> ASGIApp:
        return self._app

    async def start(self) -> None:
        self.callbacks.start()
        self.billing.start()

    async def stop(self) -> None:
        await self.billing.stop()
        await self.callbacks.stop()

    def _webhooks_of(self, account: Account, sender: str) -> Mapping[str, str]:
        for number in self.numbers.numbers.values():
            if (number.account_sid, number.phone_number) == (account.sid, sender):
                return number.fields
        for code in self.short_codes.leased.values():
            if (code.account_sid, code.short_code) == (account.sid, sender):
                return code.fields
        return {}

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if not path.startswith((API, *PREFIXES)):
            await self._control(scope, receive, send)
            return
        authorization = next(
            (value for name, value in scope["headers"] if name == b"authorization"), b""
        )
        body = await read_body(receive) if scope["method"] == "POST" else b""
        answer = self.api.answer(
            scope["method"],
            path,
            scope["query_string"].decode(),
            authorization.decode("latin-1"),
            body,
        )
        await respond(send, answer.status, answer.body)
