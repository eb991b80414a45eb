"""What an alert means, and the meanings that several kinds share."""

import re
from dataclasses import dataclass
from enum import StrEnum

_LINK = re.compile(r"\[(?P<text>[^\]\[]*)\]\([^)\s]+\)")


class Severity(StrEnum):
    """How soon a person has to look."""

    PAGE = "page"
    TODAY = "today"
    INFO = "info"


class AlertStatus(StrEnum):
    """An alert is open until somebody acknowledges it, or it ends: by itself, or by a person."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


class Change(StrEnum):
    """What happens to an alert. Repetitions that say nothing new are only counted."""

    RAISED = "raised"
    REPEATED = "repeated"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """`about` and `clears` are Markdown for the runbook. An alert without `clears` is about facts
    that stay true, so only a person ends it; `waivable`: a person may end it earlier, too. `facts`:
    each detail is another fact, although it clears by itself.
    """

    about: str
    clears: str | None = None
    severity: Severity = Severity.TODAY
    waivable: bool = False
    facts: bool = False

    @property
    def names_facts(self) -> bool:
        """Whether each new detail is news, and not only the condition as it is now."""
        return self.facts or self.by_hand

    @property
    def by_hand(self) -> bool:
        """Whether a person may close it."""
        return self.clears is None or self.waivable

    @property
    def plain(self) -> str:
        """`about` without Markdown."""
        return _LINK.sub(r"\g<text>", self.about).replace("`", "")


def of_loop(what: str, severity: Severity = Severity.TODAY) -> Meaning:
    return Meaning(
        about=f"a background loop of a worker fails repeatedly: {what}. A server is unreachable, "
        "or Tollgate has a bug; the log has the reason",
        clears="the loop succeeds",
        severity=severity,
    )


GUARANTEE = Meaning(
    about="`tollgate certify` finds a guarantee broken; treat it as an incident",
    clears="the next audit finds nothing",
    severity=Severity.PAGE,
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
    severity=Severity.PAGE,
)
EVENTS_MISSED = Meaning(
    about="the provider lists events that it never delivered; Tollgate has processed them. Check "
    "the webhook: its address and event types at the provider, its id or secret here",
    clears="the next comparison finds no missing event",
    severity=Severity.INFO,
)
MONEY = "a payment or refund that an operator has to resolve; the detail says which, and why"
