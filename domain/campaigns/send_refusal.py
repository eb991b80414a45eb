"""Decides what Twilio's refusals of one window mean for the rest of its campaign. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.campaigns import delivery_failure
from domain.campaigns.campaign import Park
from domain.campaigns.delivery_failure import SEVERAL, STOPS, STOPS_IN_A_ROW, About

PARKS = {
    About.SENDER: Park.SENDER_REFUSED,
    About.ACCOUNT: Park.ACCOUNT_REFUSED,
    About.CONTENT: Park.CONTENT_REFUSED,
    About.REQUEST: Park.REQUEST_REFUSED,
    About.DESTINATION: Park.DESTINATION_REFUSED,
    About.UNKNOWN: Park.REFUSED,
}
IN_WORDS = {
    Park.SENDER_REFUSED: "Twilio or a carrier refuses the sender",
    Park.ACCOUNT_REFUSED: "Twilio does not permit the subaccount to do this",
    Park.CONTENT_REFUSED: "Twilio or a carrier refuses the text",
    Park.REQUEST_REFUSED: "Twilio refuses the request that Tollgate builds from its settings",
    Park.DESTINATION_REFUSED: "Twilio does not let this sender or account send to these "
    "destinations",
    Park.REFUSED: "Twilio refused several messages in a row with a code that Tollgate does not "
    "know",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Twilio refused the message with this code."""

    code: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Twilio accepted the message: its sender and its account may send."""


Answer = Refused | Taken | None
"""None: the answer proves nothing, because it is unknown or Twilio asked to retry later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The campaign cannot continue. `code` is the Twilio code of one of the refusals that say so."""

    park: Park
    code: int

    @property
    def text(self) -> str:
        return (
            f"{IN_WORDS[self.park]} (error {self.code}, "
            f"https://www.twilio.com/docs/api/errors/{self.code})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`blameless` are the indexes of refused messages that may be sent once the cause is fixed."""

    stop: Stop | None
    blameless: frozenset[int] = frozenset()
    in_a_row: int = 0


def judge(answers: Sequence[Answer], *, in_a_row: int = 0, several: int = SEVERAL) -> Verdict:
    """Whether a window's answers, in order, stop its campaign. `in_a_row` refusals came right
    before it.

    A refusal for the sender, the account, the text or our request would meet every other message
    too. One that may concern a single destination, or is of no known class, counts only when
    `several` follow one another and Twilio accepts none in between or afterwards.
    """
    blameless = [index for index, answer in enumerate(answers) if _about(answer) in STOPS]
    if blameless:
        return Verdict(stop=_stop(answers[blameless[0]]), blameless=frozenset(blameless))
    row: list[int] = []
    for index, answer in enumerate(answers):
        if isinstance(answer, Taken):
            row, in_a_row = [], 0
        elif _about(answer) in STOPS_IN_A_ROW:
            row.append(index)
            in_a_row += 1
    if row and in_a_row >= several:
        return Verdict(stop=_stop(answers[row[0]]), blameless=frozenset(row))
    return Verdict(stop=None, in_a_row=in_a_row)


def judge_deliveries(answers: Iterable[Answer]) -> Stop | None:
    """Whether the outcomes of accepted messages, latest first, stop their campaign.

    Carriers judge each message separately, so even a code about the sender counts only if several
    follow one another.
    """
    blamed: list[Refused] = []
    for answer in answers:
        if isinstance(answer, Taken):
            break
        if isinstance(answer, Refused) and _about(answer) in STOPS | STOPS_IN_A_ROW:
            blamed.append(answer)
    return _stop(blamed[0]) if len(blamed) >= SEVERAL else None


def of(code: int) -> Stop:
    """What a code that affects other messages does to their campaign."""
    return Stop(park=PARKS[delivery_failure.about(code)], code=code)


def _about(answer: Answer) -> About | None:
    return delivery_failure.about(answer.code) if isinstance(answer, Refused) else None


def _stop(answer: Answer) -> Stop:
    assert isinstance(answer, Refused)
    return of(answer.code)
