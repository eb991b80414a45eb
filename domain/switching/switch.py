"""The rules of moving a customer from one billing provider to another. Pure; no clock, no I/O.

At every moment exactly one provider will charge for the next period: the customer consents to a
first charge at the target at the end of the period that is paid at the source, and only then is the
source stopped.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.billing.subscription import PAID, Provider, Snapshot, State

NOTICE = timedelta(hours=49)
"""Stripe's checkout requires a first charge at least 48 hours ahead; one hour is left for consent.
"""
CHECKOUT_LASTS = timedelta(hours=23)
"""Stripe's checkout lasts at most one day; the rest of the notice is for the cut-over."""
LAST_CALL = timedelta(hours=1)
"""This close to its renewal the source may already be charging, so it is not stopped any more."""
SAME_CHARGE = timedelta(days=1)
"""Providers shift the hour of a charge: PayPal charges at its own hour on the requested day."""
MARK = "mig:"
_ENDED = frozenset({State.CANCELED, State.EXPIRED})


class SwitchStatus(StrEnum):
    """The state of a switch; from `completed` on, how it ended."""

    STARTED = "started"
    WAITING = "waiting"
    CHECKED = "checked"
    OFFERED = "offered"
    CONSENTED = "consented"
    STOPPING = "stopping"
    STOPPED = "stopped"
    UNDOING = "undoing"
    COMPLETED = "completed"
    REFUSED = "refused"
    ABANDONED = "abandoned"
    CANCELED = "canceled"
    UNDONE = "undone"
    FAILED = "failed"


OVER = frozenset(
    {
        SwitchStatus.COMPLETED,
        SwitchStatus.REFUSED,
        SwitchStatus.ABANDONED,
        SwitchStatus.CANCELED,
        SwitchStatus.UNDONE,
        SwitchStatus.FAILED,
    }
)
ERRORS = frozenset({SwitchStatus.UNDONE, SwitchStatus.FAILED})
"""Unintended ends: they use up the error budget of a cohort."""
STOPS = frozenset({SwitchStatus.STOPPING, SwitchStatus.STOPPED})
"""From here on, the target is the provider that bills."""
IN_WORDS = {
    SwitchStatus.STARTED: "not checked yet",
    SwitchStatus.WAITING: "waits until the renewal has passed",
    SwitchStatus.CHECKED: "checked; the checkout is being created",
    SwitchStatus.OFFERED: "the customer has the checkout link and has not consented yet",
    SwitchStatus.CONSENTED: "the customer has consented; the old subscription is about to be "
    "stopped",
    SwitchStatus.STOPPING: "the old subscription is being stopped",
    SwitchStatus.STOPPED: "the old subscription is stopped; the new one is about to become the "
    "current one",
    SwitchStatus.UNDOING: "the new subscription is being canceled; the old one continues",
    SwitchStatus.COMPLETED: "the new subscription is the current one",
    SwitchStatus.REFUSED: "refused before anything changed",
    SwitchStatus.ABANDONED: "the customer never completed the checkout; the old subscription "
    "continues",
    SwitchStatus.CANCELED: "the customer canceled, and the cancellation was honored",
    SwitchStatus.UNDONE: "the new subscription is canceled; the old one continues",
    SwitchStatus.FAILED: "the old subscription is stopped and the new one does not bill: an "
    "operator has to act",
}


class Start(StrEnum):
    """The result of a request to switch. OPEN: the same switch is under way already."""

    STARTS = "starts"
    OPEN = "open"
    ANOTHER_OPEN = "another_open"
    AT_TARGET = "at_target"


class Ready(StrEnum):
    READY = "ready"
    WAIT = "wait"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Whether a checkout may be offered now. `until` is the renewal to wait for, or the first
    charge at the target.
    """

    ready: Ready
    reason: str = ""
    until: datetime | None = None


class Cut(StrEnum):
    """STOP: stop the source; STOPPED: we stopped it already; LEFT: the customer canceled; UNDO:
    undo the switch.
    """

    STOP = "stop"
    STOPPED = "stopped"
    LEFT = "left"
    UNDO = "undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    cut: Cut
    reason: str = ""


def marker(switch_id: object) -> str:
    """The cancellation reason passed to the source: it distinguishes our stop from a customer's."""
    return f"{MARK}{switch_id}"


def start(
    source: Provider, target: tuple[Provider, str], under_way: tuple[Provider, str] | None
) -> Start:
    """A target is a provider and its plan; `under_way` is that of the open switch."""
    if under_way is not None:
        return Start.OPEN if under_way == target else Start.ANOTHER_OPEN
    return Start.AT_TARGET if source is target[0] else Start.STARTS


def check(source: Snapshot, now: datetime, *, waited_for: datetime | None = None) -> Check:
    """Before anything changes: check that the source is healthy and its renewal far enough away.

    `waited_for` is the renewal that the switch has already waited for: with a very short period it
    would wait forever.
    """
    if source.state is State.PAST_DUE:
        owed = f": {source.outstanding} is outstanding" if source.outstanding is not None else ""
        return Check(ready=Ready.REFUSED, reason=f"the subscription is past due{owed}")
    if source.state not in PAID:
        return Check(ready=Ready.REFUSED, reason=f"the subscription is {source.state.value}")
    if _owes(source):
        return Check(ready=Ready.REFUSED, reason=f"{source.outstanding} is outstanding")
    if source.cancels:
        return Check(
            ready=Ready.REFUSED, reason="the customer has canceled it at the end of its period"
        )
    if source.access_until is None:
        return Check(ready=Ready.REFUSED, reason="the provider does not report the next charge")
    if source.access_until < now + NOTICE:
        if waited_for is not None and SAME_CHARGE <= source.access_until - waited_for <= NOTICE:
            return Check(ready=Ready.REFUSED, reason="it renews more often than every two days")
        return Check(
            ready=Ready.WAIT,
            reason="the renewal is less than two days away",
            until=source.access_until,
        )
    return Check(ready=Ready.READY, until=source.access_until)


def _owes(source: Snapshot) -> bool:
    """The provider stops collecting a subscription's debt once it is canceled, although it is
    active until then.
    """
    return source.outstanding is not None and source.outstanding.micros > 0


def left(source: Snapshot, mark: str) -> bool:
    """Whether the customer, not Tollgate, ended the source."""
    if source.state in _ENDED:
        return not (source.note or "").startswith(mark)
    return source.cancels


def recheck(
    source: Snapshot, target: Snapshot, *, first_charge_at: datetime, mark: str, now: datetime
) -> Recheck:
    """Decide under the organization's lock, just before the source is stopped, and again after a
    crash in between.
    """
    if left(source, mark):
        return Recheck(cut=Cut.LEFT, reason="the customer canceled the old subscription")
    if source.state in _ENDED:
        return Recheck(cut=Cut.STOPPED)
    if source.state not in PAID:
        return Recheck(cut=Cut.UNDO, reason=f"the old subscription is {source.state.value}")
    if _owes(source):
        return Recheck(
            cut=Cut.UNDO, reason=f"{source.outstanding} is outstanding at the old provider"
        )
    if source.access_until is None or abs(source.access_until - first_charge_at) > SAME_CHARGE:
        # two charges for one period
        return Recheck(cut=Cut.UNDO, reason="the old subscription renewed in the meantime")
    if target.state not in PAID:
        return Recheck(cut=Cut.UNDO, reason=f"the new subscription is {target.state.value}")
    if target.cancels:
        # it would never charge
        return Recheck(cut=Cut.UNDO, reason="the customer canceled the new subscription")
    if target.access_until is None or abs(target.access_until - first_charge_at) > SAME_CHARGE:
        return Recheck(
            cut=Cut.UNDO, reason="the new subscription does not begin where the old one ends"
        )
    if now > first_charge_at - LAST_CALL:
        return Recheck(cut=Cut.UNDO, reason="the renewal is too close")
    return Recheck(cut=Cut.STOP)


def in_cohort(organization_id: str, percent: float) -> bool:
    """Selects the same organizations each time; a larger cohort contains every smaller one."""
    share = int.from_bytes(hashlib.sha256(organization_id.encode()).digest()[:8])
    return share < percent / 100 * 2**64
