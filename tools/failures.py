"""The table of docs/explanation/campaigns.md: what is done about a message that failed, from the rule itself."""

from domain.failure import CODES, REMEDIES, Failure
from tools.lifecycle import fill

WORDS = {True: "refunded", False: "not refunded"}


def filled(page: str) -> str:
    return fill(page, "failures", table())


def table() -> str:
    lines = ["| class | Twilio's codes | failed, canceled | undelivered | besides |", "| --- | --- | --- | --- | --- |"]
    for name, remedy in REMEDIES.items():
        codes = ", ".join(str(code) for code, of in sorted(CODES.items()) if of is name)
        if name is Failure.OTHER:
            codes = "all others"
        besides = "sent again when the account may" if remedy.again else "the recipient is remembered"
        if not (remedy.again or remedy.opt_out):
            besides = ""
        cells = (f"`{name}`", codes, WORDS[True], WORDS[remedy.refund_undelivered], besides)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
