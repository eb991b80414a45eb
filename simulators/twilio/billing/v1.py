"""The newer APIs, which Twilio serves under hosts of their own and the simulator under its one
address: Messaging Services, pricing, auth tokens and Verify.
"""

from collections.abc import Callable

from simulators.twilio.answers import Answer, not_found
from simulators.twilio.billing import verify
from simulators.twilio.billing.pricing import Pricing
from simulators.twilio.billing.services import Services
from simulators.twilio.billing.tokens import rotate
from simulators.twilio.billing.verify import Verify
from simulators.twilio.parameters import Call
from simulators.twilio.state import Account, State

PREFIX = "/v1/"
PREFIXES = (PREFIX, verify.PREFIX)


class NewerApis:
    """`url` is the simulator's own address, for the links in responses."""

    def __init__(self, state: State, services: Services, url: Callable[[], str]) -> None:
        self.state = state
        self.url = url
        self.pricing = Pricing(state)
        self.services = services
        self.verify = Verify(state)

    def clear(self) -> None:
        self.services.registrations.clear()
        self.verify.clear()

    def answer(self, caller: Account, call: Call) -> Answer:
        method, path, given = call.method, call.path, call.given
        if path.startswith(verify.PREFIX):
            return self.verify.answer(caller, method, call.base, path, given)
        room = path.removeprefix(PREFIX).partition("/")[0]
        if room == "Services":
            return self.services.answer(caller, call)
        if room in ("Messaging", "PhoneNumbers") and method == "GET":
            return self.pricing.answer(caller, call.base, path, given)
        if room == "AuthTokens":
            return rotate(self.state, caller, method, call.base, path)
        raise not_found(path)
