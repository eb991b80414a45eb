"""The newer APIs, which Twilio serves under hosts of their own and the simulator under its one
address: Messaging Services, pricing and auth tokens.
"""

from collections.abc import Callable, Mapping

from simulators.twilio.answers import Answer, not_found
from simulators.twilio.billing.pricing import Pricing
from simulators.twilio.billing.services import Services
from simulators.twilio.billing.tokens import rotate
from simulators.twilio.state import Account, State

PREFIX = "/v1/"


class NewerApis:
    """`url` is the simulator's own address, for the links in responses."""

    def __init__(self, state: State, url: Callable[[], str]) -> None:
        self.state = state
        self.url = url
        self.pricing = Pricing(state)
        self.services = Services(state)

    def answer(self, caller: Account, method: str, path: str, given: Mapping[str, str]) -> Answer:
        room = path.removeprefix(PREFIX).partition("/")[0]
        if room == "Services":
            return self.services.answer(caller, method, self.url(), path, given)
        if room in ("Messaging", "PhoneNumbers") and method == "GET":
            return self.pricing.answer(caller, self.url(), path, given)
        if room == "AuthTokens":
            return rotate(self.state, caller, method, self.url(), path)
        raise not_found(path)
