"""The Twilio simulator: one ASGI application, hand-routed because it handles thousands of posts a
second.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from simulators.faults import Faults, FaultyApp, read_body, respond
from simulators.twilio.answers import API, fault_body
from simulators.twilio.api import Api
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.numbers import Numbers
from simulators.twilio.billing.v1 import PREFIX, NewerApis
from simulators.twilio.callbacks import Callbacks
from simulators.twilio.control import Control
from simulators.twilio.messages import Messages
from simulators.twilio.state import State

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
        newer = NewerApis(self.state, lambda: self.url)
        self.api = Api(self.state, self.messages, self.billing, self.numbers, newer)
        self._control = Control(
            self.state, self.api, self.callbacks, self.faults, self.billing, self.numbers
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

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if not path.startswith((API, PREFIX)):
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
