"""The table of docs/explanation/campaigns.md: how failed messages are treated, generated from the
rule itself.
"""

import textwrap
from collections.abc import Iterable

from domain.campaigns.delivery_failure import (
    CODES,
    NO_FEE,
    REMEDIES,
    SEVERAL,
    STOPS,
    STOPS_IN_A_ROW,
    About,
    Failure,
    Remedy,
)
from domain.carrier.categories import FAILED_FEE
from tools.lifecycle import fill

WORDS = {True: "refunded", False: "not refunded"}


def filled(page: str) -> str:
    return fill(page, "failures", table())


def table() -> str:
    lines = [
        "| class | about | Twilio's codes | failed, canceled | undelivered | also |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, remedy in REMEDIES.items():
        codes = (
            "all others"
            if name is Failure.OTHER
            else _spans(code for code, of in CODES.items() if of is name)
        )
        cells = (
            f"`{name}`",
            remedy.about,
            codes,
            WORDS[True],
            WORDS[remedy.refund_undelivered],
            _besides(remedy),
        )
        lines.append(f"| {' | '.join(cells)} |")
    fee = (
        "Twilio takes a fee (0.1 cent) for a message that failed, unless its code is one of "
        f"{_spans(NO_FEE)}. Who pays it says the policy of the usage category `{FAILED_FEE}`: "
        "you, unless you set another."
    )
    return "\n".join([*lines, "", textwrap.fill(fee, 120)])


def _besides(remedy: Remedy) -> str:
    if remedy.again:
        return "sent again when the account may send"
    if remedy.opt_out:
        return "the recipient is skipped later"
    if remedy.about in STOPS:
        return "stops the campaign"
    if remedy.about in STOPS_IN_A_ROW:
        return f"{SEVERAL} in a row stop the campaign"
    return "the campaign waits" if remedy.about is About.WAIT else ""


def _spans(codes: Iterable[int]) -> str:
    """`30032-30035` for codes that follow one another."""
    spans: list[list[int]] = []
    for code in sorted(codes):
        if spans and spans[-1][-1] == code - 1:
            spans[-1].append(code)
        else:
            spans.append([code])
    return ", ".join(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)
