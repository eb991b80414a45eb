"""Who is told of which alert, when, and in which words. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.alerts import MEANINGS, AlertKind, Severity, anchor, severity_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN = 20
"""Alerts of one message; the others are counted."""
LONGEST_DETAIL = 300
FIRST_REST, LONGEST_REST = timedelta(minutes=1), timedelta(hours=1)
DEAD_AFTER = 3
"""After so many failures in a row, the others are told that a route does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often people are told: of what is due today, and of what is for information, together
    once in each such time; of an open page again after `reminder`.
    """

    today: timedelta
    info: timedelta
    reminder: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a person is told of one alert. `reminded`: it was told before, and is still open."""

    organization_id: str
    kind: str
    detail: str
    raised_at: datetime
    times: int
    cleared_at: datetime | None
    closed_by: str | None
    reminded: bool


def wants(severities: Collection[str], kinds: Collection[str], kind: str) -> bool:
    """Whether a route takes a kind. An empty filter takes all."""
    by_severity = not severities or severity_of(kind).value in severities
    return by_severity and (not kinds or kind in kinds)


def due_at(kind: str, pace: Pace, now: datetime) -> datetime:
    """A page at once, everything else together at the end of the hour, or whatever is set."""
    severity = severity_of(kind)
    if severity is Severity.PAGE:
        return now
    every = pace.today if severity is Severity.TODAY else pace.info
    return now if not every else EPOCH + ((now - EPOCH) // every + 1) * every


def reminder_at(kind: str, pace: Pace, now: datetime) -> datetime | None:
    """When to tell of an open alert again."""
    return now + pace.reminder if pace.reminder and severity_of(kind) is Severity.PAGE else None


def rest(failures: int) -> timedelta:
    """How long a route that failed so often in a row is left alone."""
    return min(FIRST_REST * (1 << min(max(failures - 1, 0), 10)), LONGEST_REST)


def title(items: Sequence[Item]) -> str:
    if len(items) == 1:
        [item] = items
        return f"Tollgate: {_state(item)}: {item.kind} ({_whose(item)})"
    standing = sum(item.cleared_at is None for item in items)
    return f"Tollgate: {standing} alerts, {len(items) - standing} resolved"


def body(items: Sequence[Item]) -> str:
    """The most urgent first."""
    order = list(Severity)
    ranked = sorted(
        items,
        key=lambda item: (
            item.cleared_at is not None,
            order.index(severity_of(item.kind)),
            item.raised_at,
        ),
    )
    paragraphs = [_paragraph(item) for item in ranked[:SHOWN]]
    if len(ranked) > SHOWN:
        paragraphs.append(f"{len(ranked) - SHOWN} more: `tollgate alerts`")
    return "\n\n".join(paragraphs)


def all_resolved(items: Sequence[Item]) -> bool:
    return all(item.cleared_at is not None for item in items)


def _paragraph(item: Item) -> str:
    lines = [
        f"{_state(item)}: {item.kind} ({_whose(item)})",
        item.detail[:LONGEST_DETAIL],
        _times(item),
    ]
    if item.cleared_at is None and item.kind in MEANINGS:
        meaning = MEANINGS[AlertKind(item.kind)]
        lines.append(f"{meaning.plain} (runbook.md#{anchor(item.kind)})")
    return "\n".join(line for line in lines if line)


def _state(item: Item) -> str:
    if item.closed_by is not None:
        return "closed"
    if item.cleared_at is not None:
        return "resolved"
    severity = severity_of(item.kind).value
    return f"still open, {severity}" if item.reminded else severity


def _times(item: Item) -> str:
    since = f"since {item.raised_at.astimezone(UTC):%Y-%m-%d %H:%M UTC}"
    if item.cleared_at is not None:
        since += f", until {item.cleared_at.astimezone(UTC):%Y-%m-%d %H:%M UTC}"
    return f"{since}, {item.times} times" if item.times > 1 else since


def _whose(item: Item) -> str:
    return item.organization_id or "installation"
