"""What an alert means, and the meanings that several kinds share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """`about` and `clears` are Markdown for the runbook; an alert without `clears` is closed by a
    person only.
    """

    about: str
    clears: str | None = None


def of_loop(what: str) -> Meaning:
    return Meaning(
        about=f"a background loop of a worker fails repeatedly: {what}. A server is unreachable, "
        "or Tollgate has a bug; the log has the reason",
        clears="the loop succeeds",
    )


GUARANTEE = Meaning(
    about="`tollgate certify` finds a guarantee broken; treat it as an incident",
    clears="the next audit finds nothing",
)
API_VERSION = Meaning(
    about="events have another API version than Tollgate expects: create a webhook endpoint with "
    "the version in the detail, and delete the other",
    clears="the first event of the right version arrives",
)
WEBHOOK_SETUP = Meaning(
    about="Tollgate refuses events with a valid signature; the detail says why: wrong mode, wrong "
    "account, or a wrong clock here. Correct the webhook endpoint or the clock",
    clears="an event is accepted, and none was refused for an hour",
)
EVENTS_MISSED = Meaning(
    about="the provider lists events that it never delivered; Tollgate has processed them. Check "
    "the webhook: its address and event types at the provider, its id or secret here",
    clears="the next comparison finds no missing event",
)
MONEY = "a payment or refund that an operator has to resolve; the detail says which, and why"
